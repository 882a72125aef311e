//! The rows readers see and the pure folds of events into them: what the writer and the reader of a view share.
