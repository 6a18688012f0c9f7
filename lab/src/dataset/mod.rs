//! Pictures and clips as files: folders of them, pairs, folders of people, clips with their timing. Nothing here looks into a face.

pub(crate) mod clips;
pub(crate) mod labelled;
pub(crate) mod pairs;
pub(crate) mod pictures;
pub(crate) mod timing;
