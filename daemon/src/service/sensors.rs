//! What the device tells of itself: heat, throttling, power. All of it from files of the kernel; what a device does not
//! have is left out.
//!
//! | figure | from, below `/sys` |
//! |---|---|
//! | temperature | the hottest of `class/thermal/thermal_zone*/temp` |
//! | throttled | a `class/thermal/cooling_device*` for the frequency of a processor is in use; on a Raspberry Pi the firmware says so |
//! | power | a sensor of `class/hwmon` for the whole input (a Jetson's `VDD_IN`), or its only one; else what the battery gives |
//! | battery | the fullest battery of `class/power_supply` |

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

/// Where the kernel tells.
const ROOT: &str = "/sys";
/// The Raspberry Pi's firmware, and what of its answer is about now: under-voltage, capped, throttled, too warm.
const FIRMWARE: &str = "devices/platform/soc/soc:firmware/get_throttled";
const FIRMWARE_NOW: u32 = 0xF;
/// Parts of the names of cooling devices that slow processors down.
const PROCESSORS: [&str; 3] = ["cpufreq", "devfreq", "Processor"];
/// Labels of the sensor of everything that a device takes.
const WHOLE_INPUT: [&str; 3] = ["VDD_IN", "POM_5V_IN", "VIN"];

/// The device at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(super) struct Sensors {
    /// Hottest place of the chip, degrees Celsius.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) temperature_c: Option<f64>,
    /// Whether processors are slowed down because of heat or power.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) throttled: Option<bool>,
    /// What the device takes, watts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) power_w: Option<f64>,
    /// Charge of the battery, percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) battery_percent: Option<f64>,
}

impl Sensors {
    /// What the device tells now; `None` where it tells nothing.
    pub(super) fn read() -> Option<Self> {
        Self::below(Path::new(ROOT))
    }

    fn below(root: &Path) -> Option<Self> {
        let batteries = batteries(root);
        let found = Self {
            temperature_c: temperature_c(root),
            throttled: throttled(root),
            power_w: input_w(root).or_else(|| batteries.iter().find_map(|battery| battery_w(battery))),
            battery_percent: batteries.iter().filter_map(|path| number(&path.join("capacity"))).reduce(f64::max),
        };
        (found != Self::default()).then_some(found)
    }
}

fn text(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

fn number(path: &Path) -> Option<f64> {
    text(path)?.parse().ok().filter(|number: &f64| number.is_finite())
}

/// Entries of a folder whose names begin with `prefix`, in order.
fn entries(folder: &Path, prefix: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let is_one =
        |path: &PathBuf| path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(prefix));
    let mut found: Vec<PathBuf> = entries.filter(is_one).collect();
    found.sort();
    found
}

fn temperature_c(root: &Path) -> Option<f64> {
    let zones = entries(&root.join("class/thermal"), "thermal_zone");
    let degrees = zones.iter().filter_map(|zone| number(&zone.join("temp"))).map(|thousandths| thousandths / 1e3);
    // A zone that is switched off says what no chip that works can be.
    degrees.filter(|degrees| (-60.0..=200.0).contains(degrees)).reduce(f64::max)
}

fn throttled(root: &Path) -> Option<bool> {
    if let Some(flags) = text(&root.join(FIRMWARE)) {
        return u32::from_str_radix(flags.trim_start_matches("0x"), 16).ok().map(|flags| flags & FIRMWARE_NOW != 0);
    }
    let devices = entries(&root.join("class/thermal"), "cooling_device");
    let of_processors = devices.iter().filter(|device| {
        text(&device.join("type")).is_some_and(|kind| PROCESSORS.iter().any(|part| kind.contains(part)))
    });
    of_processors.filter_map(|device| number(&device.join("cur_state"))).map(|state| state > 0.0).reduce(|a, b| a || b)
}

/// Of the sensors of power that have a label for the whole input; or of the only one there is.
fn input_w(root: &Path) -> Option<f64> {
    let mut all = Vec::new();
    for monitor in entries(&root.join("class/hwmon"), "hwmon") {
        for label in entries(&monitor, "in").into_iter().filter(|path| path.to_string_lossy().ends_with("_label")) {
            let name = label.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let channel = name.trim_start_matches("in").trim_end_matches("_label").to_owned();
            if text(&label).is_some_and(|label| WHOLE_INPUT.contains(&label.as_str())) {
                let millivolts = number(&monitor.join(format!("in{channel}_input")))?;
                let milliamperes = number(&monitor.join(format!("curr{channel}_input")))?;
                return Some(millivolts * milliamperes / 1e6);
            }
        }
        let sensors = entries(&monitor, "power").into_iter().filter(|path| path.to_string_lossy().ends_with("_input"));
        all.extend(sensors.filter_map(|sensor| number(&sensor)).map(|microwatts| microwatts / 1e6));
    }
    match all.as_slice() {
        [only] => Some(*only),
        _ => None,
    }
}

fn batteries(root: &Path) -> Vec<PathBuf> {
    let supplies = entries(&root.join("class/power_supply"), "");
    supplies.into_iter().filter(|supply| text(&supply.join("type")).is_some_and(|kind| kind == "Battery")).collect()
}

/// What a battery gives while it is drained.
fn battery_w(battery: &Path) -> Option<f64> {
    text(&battery.join("status")).filter(|status| status == "Discharging")?;
    number(&battery.join("power_now")).map(|microwatts| microwatts.abs() / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(files: &[(&str, &str)]) -> Option<Sensors> {
        let root = tempfile::tempdir().unwrap();
        for (path, content) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, format!("{content}\n")).unwrap();
        }
        Sensors::below(root.path())
    }

    #[test]
    fn a_jetson_tells_its_hottest_zone_its_throttling_and_its_whole_input() {
        let jetson = [
            ("class/thermal/thermal_zone0/temp", "48250"),
            ("class/thermal/thermal_zone1/temp", "61500"),
            ("class/thermal/thermal_zone2/temp", "-256000"),
            ("class/thermal/cooling_device0/type", "pwm-fan"),
            ("class/thermal/cooling_device0/cur_state", "3"),
            ("class/thermal/cooling_device1/type", "cpufreq-cpu0"),
            ("class/thermal/cooling_device1/cur_state", "0"),
            ("class/thermal/cooling_device2/type", "devfreq-17000000.gpu"),
            ("class/thermal/cooling_device2/cur_state", "2"),
            ("class/hwmon/hwmon1/in1_label", "VDD_IN"),
            ("class/hwmon/hwmon1/in1_input", "5000"),
            ("class/hwmon/hwmon1/curr1_input", "1480"),
            ("class/hwmon/hwmon1/in2_label", "VDD_CPU_GPU_CV"),
            ("class/hwmon/hwmon1/in2_input", "5000"),
            ("class/hwmon/hwmon1/curr2_input", "400"),
        ];
        let found = device(&jetson).unwrap();
        assert_eq!((found.temperature_c, found.throttled, found.battery_percent), (Some(61.5), Some(true), None));
        assert!((found.power_w.unwrap() - 7.4).abs() < 1e-9, "{found:?}");
    }

    #[test]
    fn a_raspberry_pi_tells_by_its_firmware_what_is_so_now_and_not_what_was() {
        for (flags, throttled) in [("0x0", false), ("50000", false), ("50005", true), ("0x4", true)] {
            assert_eq!(device(&[(FIRMWARE, flags)]).unwrap().throttled, Some(throttled), "{flags}");
        }
        assert_eq!(device(&[(FIRMWARE, "what?")]), None);
    }

    #[test]
    fn a_battery_tells_its_charge_and_what_it_gives_while_it_is_drained() {
        let of = |status| {
            let supply = [
                ("class/power_supply/AC/type", "Mains"),
                ("class/power_supply/BAT0/type", "Battery"),
                ("class/power_supply/BAT0/capacity", "83"),
                ("class/power_supply/BAT0/status", status),
                ("class/power_supply/BAT0/power_now", "12500000"),
            ];
            let found = device(&supply).unwrap();
            (found.battery_percent, found.power_w, found.throttled)
        };
        assert_eq!(of("Discharging"), (Some(83.0), Some(12.5), None));
        assert_eq!(of("Charging"), (Some(83.0), None, None));
    }

    #[test]
    fn a_device_that_tells_nothing_or_nonsense_is_left_out() {
        assert_eq!(device(&[]), None);
        let nonsense = [("class/thermal/thermal_zone0/temp", "warm"), ("class/hwmon/hwmon0/power1_input", "nan")];
        assert_eq!(device(&nonsense), None);
        // Which of several would be the whole, nobody knows.
        let several = [("class/hwmon/hwmon0/power1_input", "1000"), ("class/hwmon/hwmon1/power1_input", "2000")];
        assert_eq!(device(&several), None);
    }
}
