//! Which cameras there are and which one is meant: read from `/sys/class/video4linux`, chosen by what a camera is.
//!
//! `/dev/videoN` counts in the order of discovery, so a number names another camera after a reboot. A USB identity is what a
//! device says of itself: it tells cameras apart, it does not prove one. Never opens a device.

use std::{fmt, fs, path::Path};

use super::CameraError;

/// Where the kernel lists them.
pub(super) const CLASS: &str = "/sys/class/video4linux";

/// USB vendor and product, as `lsusb` shows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UsbIdentity {
    /// idVendor.
    pub vendor: u16,
    /// idProduct.
    pub product: u16,
}

impl fmt::Display for UsbIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04x}:{:04x}", self.vendor, self.product)
    }
}

/// Which camera is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceChoice {
    /// By the name its driver gives it.
    Name(String),
    /// By USB identity.
    Usb(UsbIdentity),
    /// `/dev/videoN`, where nothing else tells two apart.
    Index(u32),
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => write!(f, "named {name:?}"),
            Self::Usb(identity) => write!(f, "USB device {identity}"),
            Self::Index(index) => write!(f, "/dev/video{index}"),
        }
    }
}

/// A device that captures pictures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct VideoNode {
    pub(super) index: u32,
    pub(super) name: String,
    /// `None` if it hangs on no USB port.
    pub(super) usb: Option<UsbIdentity>,
}

impl fmt::Display for VideoNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/dev/video{} {:?}", self.index, self.name)?;
        match self.usb {
            Some(identity) => write!(f, " ({identity})"),
            None => f.write_str(" (not USB)"),
        }
    }
}

/// The devices listed in `class`, by number. Of a UVC camera's nodes only the first captures; the next carries metadata.
pub(super) fn list(class: &Path) -> Result<Vec<VideoNode>, CameraError> {
    let failed = |source| CameraError::List { path: class.to_owned(), source };
    let entries = match fs::read_dir(class) {
        Ok(entries) => entries,
        // Without any camera there is no such class.
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(failed(source)),
    };
    let mut nodes = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        let number = path.file_name().and_then(|name| name.to_str()?.strip_prefix("video")?.parse().ok());
        // Radios, subdevices, and what was unplugged while being listed are passed over.
        let (Some(index), Some(name)) = (number, text(&path.join("name"))) else { continue };
        if text(&path.join("index")).is_some_and(|nth| nth != "0") {
            continue;
        }
        // `device` is the USB interface; its parent is the USB device.
        let id = |file| text(&path.join("device/..").join(file)).and_then(|id| u16::from_str_radix(&id, 16).ok());
        let usb = match (id("idVendor"), id("idProduct")) {
            (Some(vendor), Some(product)) => Some(UsbIdentity { vendor, product }),
            (None, _) | (_, None) => None,
        };
        nodes.push(VideoNode { index, name, usb });
    }
    nodes.sort_by_key(|node| node.index);
    Ok(nodes)
}

fn text(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim_end().to_owned())
}

/// The one device that is meant.
pub(super) fn choose(
    nodes: &[VideoNode],
    wanted: &DeviceChoice,
    allow_virtual: bool,
) -> Result<VideoNode, CameraError> {
    let fits = |node: &&VideoNode| match wanted {
        DeviceChoice::Name(name) => node.name == *name,
        DeviceChoice::Usb(identity) => node.usb == Some(*identity),
        DeviceChoice::Index(index) => node.index == *index,
    };
    let fitting: Vec<_> = nodes.iter().filter(fits).collect();
    match fitting[..] {
        [] => Err(CameraError::NotFound { wanted: wanted.to_string(), present: present(nodes.iter()) }),
        [node] if node.usb.is_none() && !allow_virtual => Err(CameraError::Virtual { device: node.to_string() }),
        [node] => Ok(node.clone()),
        [..] => Err(CameraError::Ambiguous { wanted: wanted.to_string(), present: present(fitting.into_iter()) }),
    }
}

fn present<'a>(nodes: impl Iterator<Item = &'a VideoNode>) -> String {
    let nodes: Vec<_> = nodes.map(VideoNode::to_string).collect();
    if nodes.is_empty() { "there is none".to_owned() } else { format!("there is {}", nodes.join(", ")) }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A /sys with a UVC camera (two nodes), its twin, and one fed by software.
    fn fake_sys() -> tempfile::TempDir {
        let sys = tempfile::tempdir().unwrap();
        let class = sys.path().join("class");
        let node = |name: &str, label: &str, nth: &str, device: &Path| {
            let path = class.join(name);
            fs::create_dir_all(&path).unwrap();
            fs::write(path.join("name"), format!("{label}\n")).unwrap();
            fs::write(path.join("index"), format!("{nth}\n")).unwrap();
            fs::create_dir_all(device).unwrap();
            symlink(device, path.join("device")).unwrap();
        };
        for (port, first) in [("1-1", 0), ("1-2", 2)] {
            let device = sys.path().join("devices").join(port);
            node(&format!("video{first}"), "Door Cam", "0", &device.join("1:1.0"));
            node(&format!("video{}", first + 1), "Door Cam", "1", &device.join("1:1.0"));
            fs::write(device.join("idVendor"), "046d\n").unwrap();
            fs::write(device.join("idProduct"), if first == 0 { "0825\n" } else { "0826\n" }).unwrap();
        }
        node("video10", "Loopback", "0", &sys.path().join("devices/platform/loop"));
        node("v4l-subdev0", "Door Cam", "0", &sys.path().join("devices/1-1"));
        sys
    }

    const DOOR: UsbIdentity = UsbIdentity { vendor: 0x046d, product: 0x0825 };

    #[test]
    fn only_capturing_nodes_are_listed() {
        let sys = fake_sys();
        let nodes = list(&sys.path().join("class")).unwrap();
        let seen: Vec<_> = nodes.iter().map(|node| (node.index, node.name.as_str(), node.usb)).collect();
        let twin = UsbIdentity { product: 0x0826, ..DOOR };
        assert_eq!(seen, [(0, "Door Cam", Some(DOOR)), (2, "Door Cam", Some(twin)), (10, "Loopback", None)]);
    }

    #[test]
    fn no_class_is_no_camera() {
        let sys = tempfile::tempdir().unwrap();
        assert_eq!(list(&sys.path().join("none")).unwrap(), []);
        let said = choose(&[], &DeviceChoice::Usb(DOOR), false).unwrap_err().to_string();
        assert!(said.contains("046d:0825") && said.contains("there is none"), "{said}");
    }

    #[test]
    fn choices() {
        let sys = fake_sys();
        let nodes = list(&sys.path().join("class")).unwrap();
        let name = |name: &str| DeviceChoice::Name(name.to_owned());
        let cases = [
            ("by identity", DeviceChoice::Usb(DOOR), false, Ok(0)),
            ("by index", DeviceChoice::Index(2), false, Ok(2)),
            ("a metadata node is none", DeviceChoice::Index(1), false, Err("no camera is /dev/video1")),
            ("two of a name", name("Door Cam"), false, Err("several cameras are named \"Door Cam\"")),
            ("unknown name", name("Other"), false, Err("Loopback")),
            ("fed by software", name("Loopback"), false, Err("allow_virtual")),
            ("fed by software, meant", name("Loopback"), true, Ok(10)),
        ];
        for (case, wanted, allow_virtual, outcome) in cases {
            match (choose(&nodes, &wanted, allow_virtual), outcome) {
                (Ok(node), Ok(index)) => assert_eq!(node.index, index, "{case}"),
                (Err(why), Err(says)) => assert!(why.to_string().contains(says), "{case}: {why}"),
                (got, _) => panic!("{case}: {got:?}"),
            }
        }
    }

    #[test]
    fn software_that_poses_as_the_camera_is_refused() {
        let node = |index, usb| VideoNode { index, name: "Door Cam".into(), usb };
        let (camera, poser) = (node(0, Some(DOOR)), node(1, None));
        let name = DeviceChoice::Name("Door Cam".into());
        let refused = |nodes: &[VideoNode], wanted: &DeviceChoice| match choose(nodes, wanted, false) {
            Ok(node) => panic!("{wanted} gave {node}"),
            Err(CameraError::Virtual { .. }) => "virtual",
            Err(CameraError::Ambiguous { .. }) => "ambiguous",
            Err(CameraError::NotFound { .. }) => "not found",
            Err(other) => panic!("{other}"),
        };
        let both = [camera.clone(), poser.clone()];
        assert_eq!(choose(&both, &DeviceChoice::Usb(DOOR), false).unwrap(), camera, "an identity is not fooled");
        assert_eq!(refused(&both, &name), "ambiguous");
        // The camera is unplugged, and its number given to the poser.
        let alone = [VideoNode { index: 0, ..poser }];
        assert_eq!(refused(&alone, &name), "virtual");
        assert_eq!(refused(&alone, &DeviceChoice::Index(0)), "virtual");
        assert_eq!(refused(&alone, &DeviceChoice::Usb(DOOR)), "not found");
        // Another make of camera in its place is not the one configured.
        let other = [node(0, Some(UsbIdentity { product: 0x0826, ..DOOR }))];
        assert_eq!(refused(&other, &DeviceChoice::Usb(DOOR)), "not found");
    }
}
