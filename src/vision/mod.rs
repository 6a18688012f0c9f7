//! Frame -> faces -> similarity.
