//! The projector: folds the log into the read models.
