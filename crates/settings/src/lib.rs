//! Every setting of every process: one table, read once, refused by name when wrong.
