//! Frames of a camera: decoded into a buffer that is used again, or refused.
#![no_main]

use std::cell::RefCell;

use examgate::vision::{Image, decode_mjpeg};
use libfuzzer_sys::fuzz_target;

thread_local! {
    static PICTURE: RefCell<Image> = RefCell::new(Image::empty());
}

fuzz_target!(|bytes: &[u8]| {
    PICTURE.with_borrow_mut(|picture| {
        if decode_mjpeg(bytes, picture).is_ok() {
            picture.view().expect("what was decoded is a picture");
        }
    });
});
