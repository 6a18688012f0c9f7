//! Nothing: this package only names the driver that is built beside it.
