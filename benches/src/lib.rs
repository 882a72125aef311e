//! Ratio benchmarks: each subject against a baseline measured in the same run.
