//! Coordinate systems of maps, to WGS 84.

use anyhow::{Context, bail};
use proj4rs::Proj;
use proj4rs::transform::transform;

/// A coordinate system that a map is drawn in.
pub(super) struct Crs {
    proj: Proj,
    wgs84: Proj,
}

const WGS84: &str = "+proj=longlat +datum=WGS84 +no_defs";

impl Crs {
    /// `EPSG:32614`, `32614`, or a PROJ string.
    ///
    /// # Errors
    /// It is not known here, or is none.
    pub(super) fn parse(text: &str) -> anyhow::Result<Self> {
        let code = text.trim().to_uppercase();
        let code = code.strip_prefix("EPSG:").unwrap_or(&code);
        match code.parse::<u32>() {
            Ok(code) => Self::epsg(code),
            Err(_) => Self::of(text),
        }
    }

    /// By its number in the EPSG registry.
    ///
    /// # Errors
    /// It is not known here.
    pub(super) fn epsg(code: u32) -> anyhow::Result<Self> {
        let Some(definition) = definition(code) else {
            bail!("EPSG:{code} is not known here; give --crs with its PROJ string, as epsg.io has it: '+proj=...'");
        };
        Self::of(&definition)
    }

    fn of(definition: &str) -> anyhow::Result<Self> {
        let proj = |text: &str| Proj::from_proj_string(text).with_context(|| format!("{text}: no coordinate system"));
        Ok(Self { proj: proj(definition)?, wgs84: proj(WGS84)? })
    }

    /// Latitude and longitude in degrees of a point of the map.
    ///
    /// # Errors
    /// The projection has no such point.
    pub(super) fn degrees(&self, x: f64, y: f64) -> anyhow::Result<(f64, f64)> {
        let mut point = if self.proj.is_latlong() { (x.to_radians(), y.to_radians(), 0.0) } else { (x, y, 0.0) };
        transform(&self.proj, &self.wgs84, &mut point).with_context(|| format!("{x} {y}: no place on the Earth"))?;
        let (lat, lon) = (point.1.to_degrees(), point.0.to_degrees());
        if !(lat.abs() <= 90.0 && lon.is_finite()) {
            bail!("{x} {y}: no place on the Earth");
        }
        Ok((lat, (lon + 180.0).rem_euclid(360.0) - 180.0))
    }
}

/// Web Mercator, that of tiles.
pub(super) const WEB_MERCATOR: u32 = 3857;

/// The systems that orthophotos mostly have, by their parameters in the EPSG registry.
fn definition(code: u32) -> Option<String> {
    let utm = |zone: u32, more: &str| Some(format!("+proj=utm +zone={zone} {more} +units=m +no_defs"));
    let fixed = |text: &str| Some(text.to_owned());
    match code {
        // WGS 84, ETRS89, NAD83, CGCS2000, RGF93, GDA94 and GDA2020 in degrees: within a metre or two of one another.
        4326 | 4979 => fixed(WGS84),
        4258 | 4269 | 4490 | 4171 | 4283 | 7844 => fixed("+proj=longlat +ellps=GRS80 +towgs84=0,0,0 +no_defs"),
        3857 | 3785 | 900_913 => fixed(
            "+proj=merc +a=6378137 +b=6378137 +lat_ts=0 +lon_0=0 +x_0=0 +y_0=0 +k=1 +units=m +nadgrids=@null +no_defs",
        ),
        32601..=32660 => utm(code - 32600, "+datum=WGS84"),
        32701..=32760 => utm(code - 32700, "+south +datum=WGS84"),
        25828..=25838 => utm(code - 25800, "+ellps=GRS80 +towgs84=0,0,0"),
        26901..=26923 => utm(code - 26900, "+ellps=GRS80 +towgs84=0,0,0"),
        28348..=28358 => utm(code - 28300, "+south +ellps=GRS80 +towgs84=0,0,0"),
        7846..=7859 => utm(code - 7800, "+south +ellps=GRS80 +towgs84=0,0,0"),
        2154 => fixed(
            "+proj=lcc +lat_0=46.5 +lon_0=3 +lat_1=49 +lat_2=44 +x_0=700000 +y_0=6600000 +ellps=GRS80 +towgs84=0,0,0 \
             +units=m +no_defs",
        ),
        2056 => fixed(
            "+proj=somerc +lat_0=46.9524055555556 +lon_0=7.43958333333333 +k_0=1 +x_0=2600000 +y_0=1200000 +ellps=bessel \
             +towgs84=674.374,15.056,405.346,0,0,0,0 +units=m +no_defs",
        ),
        3006 => utm(33, "+ellps=GRS80 +towgs84=0,0,0"),
        3035 => fixed(
            "+proj=laea +lat_0=52 +lon_0=10 +x_0=4321000 +y_0=3210000 +ellps=GRS80 +towgs84=0,0,0 +units=m +no_defs",
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use geolocated::locate::distance_m;

    #[track_caller]
    fn assert_near(crs: &str, (x, y): (f64, f64), (lat, lon): (f64, f64), metres: f64) {
        let (found_lat, found_lon) = Crs::parse(crs).unwrap().degrees(x, y).unwrap();
        let off_m = distance_m(found_lat, found_lon, lat, lon);
        assert!(off_m < metres, "{crs}: {found_lat} {found_lon}, {off_m} m off");
    }

    #[test]
    fn points_come_to_where_the_registry_has_them() {
        // The middle of a zone of UTM lies at 500 km; a degree of latitude beyond the equator is 110,574.4 m, times 0.9996.
        assert_near("EPSG:32614", (500_000.0, 0.0), (0.0, -99.0), 0.001);
        assert_near("32631", (500_000.0, 110_574.4 * 0.9996), (1.0, 3.0), 0.2);
        assert_near("EPSG:32756", (500_000.0, 10_000_000.0), (0.0, 153.0), 0.001);
        // A quarter of the equator, by the radius of the sphere.
        assert_near("EPSG:3857", (6_378_137.0 * std::f64::consts::FRAC_PI_2, 0.0), (0.0, 90.0), 0.001);
        assert_near("EPSG:3857", (0.0, 5_621_521.486), (45.0, 0.0), 0.5);
        assert_near("EPSG:4326", (-98.09, 30.17), (30.17, -98.09), 0.001);
        assert_near("EPSG:2154", (700_000.0, 6_600_000.0), (46.5, 3.0), 0.01);
        // The old observatory of Bern, the origin of the Swiss grid, in WGS 84 (swisstopo).
        assert_near("EPSG:2056", (2_600_000.0, 1_200_000.0), (46.951_08, 7.438_64), 2.0);
    }

    #[test]
    fn what_is_not_known_is_refused_with_a_way_out() {
        let error = Crs::parse("EPSG:99999").err().unwrap().to_string();
        assert!(error.contains("99999") && error.contains("+proj"), "{error}");
        assert!(Crs::parse("somewhere").is_err());
        assert!(Crs::epsg(WEB_MERCATOR).unwrap().degrees(f64::NAN, 0.0).is_err());
    }
}
