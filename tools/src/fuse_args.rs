//! Arguments that say how candidates become a position.

use clap::Args;
use geolocated::locate::FuseOptions;

/// How candidates become a position: keys of section fuse of the daemon's settings.
#[derive(Debug, Clone, Args)]
pub struct FuseArgs {
    /// Whether references that show one place are held against the frame together (daemon: fuse.overlap)
    #[arg(long, value_name = "BOOL", default_value_t = FuseOptions::default().overlap, action = clap::ArgAction::Set)]
    overlap: bool,
    /// How fast the weight of a candidate falls with its similarity; a calibration has its own (daemon: fuse.sharpness)
    #[arg(long, value_name = "NUMBER", default_value_t = FuseOptions::default().sharpness, value_parser = sharpness)]
    sharpness: f64,
}

impl FuseArgs {
    /// The usual options with what these arguments say.
    pub fn options(&self) -> FuseOptions {
        FuseOptions { overlap: self.overlap, sharpness: self.sharpness, ..FuseOptions::default() }
    }
}

fn sharpness(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() && value >= 0.0 => Ok(value),
        _ => Err(format!("found {text:?}, expected a number of at least 0")),
    }
}
