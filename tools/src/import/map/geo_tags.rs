//! Where a picture lies: an affine map from its pixels to coordinates, by GeoTIFF's tags, a world file, or bounds.

use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, bail};

/// From pixels to coordinates: x = a col + b row + c, y = d col + e row + f, from the upper left corner of the first pixel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Affine(pub(super) [f64; 6]);

/// Corners of a map in degrees: north, west, south, east.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Bounds([f64; 4]);

impl FromStr for Bounds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("found {text:?}, expected NORTH,WEST,SOUTH,EAST in degrees");
        let numbers: Vec<f64> =
            text.split(',').map(|part| part.trim().parse()).collect::<Result<_, _>>().map_err(|_| wrong())?;
        match numbers.as_slice() {
            &[north, west, south, east]
                if north > south
                    && east > west
                    && north <= 90.0
                    && south >= -90.0
                    && west >= -180.0
                    && east <= 180.0 =>
            {
                Ok(Self([north, west, south, east]))
            }
            _ => Err(wrong()),
        }
    }
}

impl Affine {
    /// Coordinates of a point in pixels.
    pub(super) fn at(&self, x: f64, y: f64) -> (f64, f64) {
        let Self([a, b, c, d, e, f]) = self;
        (a * x + b * y + c, d * x + e * y + f)
    }

    /// The same, given for the middles of pixels.
    fn of_middles(self) -> Self {
        let (c, f) = self.at(-0.5, -0.5);
        let Self([a, b, _, d, e, _]) = self;
        Self([a, b, c, d, e, f])
    }

    pub(super) fn of_bounds(Bounds([north, west, south, east]): Bounds, (columns, rows): (u64, u64)) -> Self {
        Self([(east - west) / columns as f64, 0.0, west, 0.0, (south - north) / rows as f64, north])
    }

    /// By GeoTIFF's tags; `is_point` says that coordinates are those of the middles of pixels.
    ///
    /// # Errors
    /// The numbers make no map.
    pub(super) fn of_tags(
        transformation: Option<&[f64]>,
        scale: Option<&[f64]>,
        tiepoints: Option<&[f64]>,
        is_point: bool,
    ) -> anyhow::Result<Option<Self>> {
        let affine = match (transformation, scale, tiepoints) {
            (Some(&[a, b, _, c, d, e, _, f, ..]), ..) => Self([a, b, c, d, e, f]),
            (None, Some(&[width, height, ..]), Some(&[i, j, _, x, y, _])) => {
                Self([width, 0.0, x - i * width, 0.0, -height, y + j * height])
            }
            (None, Some(_), Some(many)) if many.len() > 6 => {
                bail!("expected one tie point, found {}: such a map has to be warped first (gdalwarp)", many.len() / 6)
            }
            (None, None, None) | (None, Some(_), None) => return Ok(None),
            _ => bail!("expected a pixel scale and a tie point, or a transformation"),
        };
        affine.checked().map(|affine| Some(if is_point { affine.of_middles() } else { affine }))
    }

    /// By a world file beside the picture: `.tfw`, `.jgw`, `.pgw`, `.wld` and the like.
    ///
    /// # Errors
    /// There is one that cannot be read.
    pub(super) fn of_world_file(picture: &Path) -> anyhow::Result<Option<Self>> {
        let Some(path) = world_files(picture).into_iter().find(|path| path.is_file()) else { return Ok(None) };
        let text = fs::read_to_string(&path).with_context(|| format!("{}: cannot read", path.display()))?;
        let numbers: Vec<f64> = text.split_whitespace().map_while(|word| word.parse().ok()).collect();
        let &[a, d, b, e, c, f] = numbers.as_slice() else {
            bail!("{}: expected six numbers, found {}", path.display(), numbers.len());
        };
        let affine = Self([a, b, c, d, e, f]).checked().with_context(|| path.display().to_string())?;
        Ok(Some(affine.of_middles()))
    }

    fn checked(self) -> anyhow::Result<Self> {
        let Self([a, b, _, d, e, _]) = self;
        if self.0.iter().any(|value| !value.is_finite()) || (a * e - b * d).abs() < f64::MIN_POSITIVE {
            bail!("expected numbers that span a plane, found {:?}", self.0);
        }
        Ok(self)
    }
}

/// Names that a world file may have.
fn world_files(picture: &Path) -> Vec<PathBuf> {
    let extension = picture.extension().map(|extension| extension.to_string_lossy().to_lowercase()).unwrap_or_default();
    let short = match extension.as_str() {
        "jpg" | "jpeg" => "jgw",
        "png" => "pgw",
        "webp" => "wpw",
        _ => "tfw",
    };
    let mut names: Vec<PathBuf> =
        [short, "wld", &format!("{extension}w")].map(|end| picture.with_extension(end)).to_vec();
    let upper =
        names.iter().filter_map(|path| Some(path.with_extension(path.extension()?.to_string_lossy().to_uppercase())));
    let upper: Vec<PathBuf> = upper.collect();
    names.extend(upper);
    names
}

/// What GeoTIFF's key directory says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct GeoKeys {
    /// Coordinates are those of the middles of pixels.
    pub(super) is_point: bool,
    /// Number of the coordinate system in the EPSG registry.
    pub(super) epsg: Option<u32>,
    /// The coordinate system is none of the registry.
    pub(super) is_user_defined: bool,
}

impl GeoKeys {
    const RASTER_TYPE: u16 = 1025;
    const MODEL_TYPE: u16 = 1024;
    const GEOGRAPHIC: u16 = 2048;
    const PROJECTED: u16 = 3072;
    const USER_DEFINED: u16 = 32767;

    /// Reads the directory: groups of four numbers, key, place of the value, count, value.
    pub(super) fn read(directory: &[u16]) -> Self {
        let keys = directory.chunks_exact(4).skip(1);
        let value = |wanted: u16| {
            keys.clone().find_map(|key| match key {
                [key, 0, _, value] if *key == wanted => Some(*value),
                _ => None,
            })
        };
        let code = match value(Self::MODEL_TYPE) {
            Some(2) => value(Self::GEOGRAPHIC),
            _ => value(Self::PROJECTED).or(value(Self::GEOGRAPHIC)),
        };
        Self {
            is_point: value(Self::RASTER_TYPE) == Some(2),
            epsg: code.filter(|code| *code != Self::USER_DEFINED && *code != 0).map(u32::from),
            is_user_defined: code == Some(Self::USER_DEFINED),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_corner_of_the_first_pixel_is_where_each_form_has_it() {
        let scale = [0.5, 0.25, 0.0];
        let area =
            Affine::of_tags(None, Some(&scale), Some(&[0.0, 0.0, 0.0, 100.0, 200.0, 0.0]), false).unwrap().unwrap();
        assert_eq!((area.at(0.0, 0.0), area.at(2.0, 4.0)), ((100.0, 200.0), (101.0, 199.0)));
        let point =
            Affine::of_tags(None, Some(&scale), Some(&[0.0, 0.0, 0.0, 100.0, 200.0, 0.0]), true).unwrap().unwrap();
        assert_eq!(point.at(0.5, 0.5), (100.0, 200.0), "the middle of the first pixel");
        let tied =
            Affine::of_tags(None, Some(&scale), Some(&[10.0, 4.0, 0.0, 100.0, 200.0, 0.0]), false).unwrap().unwrap();
        assert_eq!(tied.at(10.0, 4.0), (100.0, 200.0));
        let turned = [0.0, 1.0, 0.0, 5.0, 1.0, 0.0, 0.0, 6.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0];
        let turned = Affine::of_tags(Some(&turned), None, None, false).unwrap().unwrap();
        assert_eq!(turned.at(2.0, 3.0), (8.0, 8.0));
        assert_eq!(Affine::of_tags(None, None, None, false).unwrap(), None);
        assert!(Affine::of_tags(None, Some(&[0.0, 0.0, 0.0]), Some(&[0.0; 6]), false).is_err());
        assert!(
            Affine::of_tags(None, Some(&scale), Some(&[0.0; 24]), false).unwrap_err().to_string().contains("gdalwarp")
        );
    }

    #[test]
    fn a_world_file_is_about_the_middle_of_the_first_pixel() {
        let folder = tempfile::tempdir().unwrap();
        let picture = folder.path().join("map.jpg");
        fs::write(folder.path().join("map.jgw"), "2\n0\n0\n-2\n101\n199\n").unwrap();
        let affine = Affine::of_world_file(&picture).unwrap().unwrap();
        assert_eq!((affine.at(0.5, 0.5), affine.at(0.0, 0.0)), ((101.0, 199.0), (100.0, 200.0)));
        fs::write(folder.path().join("map.jgw"), "2\n0\n0\n").unwrap();
        assert!(Affine::of_world_file(&picture).unwrap_err().to_string().contains("six numbers"));
        assert_eq!(Affine::of_world_file(&folder.path().join("other.png")).unwrap(), None);
    }

    #[test]
    fn keys_tell_the_coordinate_system() {
        let keys = GeoKeys::read(&[1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 2, 3072, 0, 1, 32614]);
        assert_eq!(keys, GeoKeys { is_point: true, epsg: Some(32614), is_user_defined: false });
        let keys = GeoKeys::read(&[1, 1, 0, 2, 1024, 0, 1, 2, 2048, 0, 1, 4326]);
        assert_eq!((keys.epsg, keys.is_point), (Some(4326), false));
        assert!(GeoKeys::read(&[1, 1, 0, 1, 3072, 0, 1, 32767]).is_user_defined);
        assert_eq!(GeoKeys::read(&[1, 1]), GeoKeys::default());
    }

    #[test]
    fn bounds_are_a_box() {
        assert_eq!("30.5,-98.5,30,-98".parse(), Ok(Bounds([30.5, -98.5, 30.0, -98.0])));
        for bad in ["", "1,2,3", "30,-98,31,-97", "30,-98,29,-99", "91,0,0,1"] {
            assert!(bad.parse::<Bounds>().is_err(), "{bad}");
        }
    }
}
