//! Georeferenced maps.

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use image::{ImageFormat, Rgb, RgbImage};
use serde_json::Value;
use tempfile::TempDir;
use tiff::encoder::{TiffEncoder, colortype};
use tiff::tags::Tag;

use super::read;
use crate::common::{Run, command, finish, model_fp32, run, shared};

/// Red grows to the east, green to the south: each pixel tells where it is.
fn chart(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| Rgb([(x * 255 / width) as u8, (y * 255 / height) as u8, 120]))
}

/// A GeoTIFF in strips of 16 rows.
fn geotiff(path: &Path, image: &RgbImage, scale: [f64; 3], tie: [f64; 6], keys: &[u16]) {
    let mut tiff = TiffEncoder::new(fs::File::create(path).unwrap()).unwrap();
    let mut picture = tiff.new_image::<colortype::RGB8>(image.width(), image.height()).unwrap();
    picture.rows_per_strip(16).unwrap();
    picture.encoder().write_tag(Tag::ModelPixelScaleTag, &scale[..]).unwrap();
    picture.encoder().write_tag(Tag::ModelTiepointTag, &tie[..]).unwrap();
    picture.encoder().write_tag(Tag::GeoKeyDirectoryTag, keys).unwrap();
    picture.write_data(image.as_raw()).unwrap();
}

const UTM14: [u16; 16] = [1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, 32614];
const DEGREES: [u16; 16] = [1, 1, 0, 3, 1024, 0, 1, 2, 1025, 0, 1, 1, 2048, 0, 1, 4326];

fn import(map: &Path, out: &Path, more: &[&str]) -> Run {
    let mut import = command("import");
    finish(import.arg("map").arg(map).arg("--out").arg(out).args(["--json", "-"]).args(more))
}

fn number(row: &std::collections::BTreeMap<String, String>, key: &str) -> f64 {
    row[key].parse().unwrap()
}

/// Metres north and east between two corners.
fn size_m(row: &std::collections::BTreeMap<String, String>) -> (f64, f64) {
    let north = (number(row, "top_left_lat") - number(row, "bottom_right_lat")) * 111_195.08;
    let east = (number(row, "bottom_right_lon") - number(row, "top_left_lon")) * 111_195.08;
    (north, east * number(row, "lat").to_radians().cos())
}

#[test]
fn a_geotiff_in_utm_becomes_tiles_that_lie_where_it_says() {
    let folder = TempDir::new().unwrap();
    let (map, out) = (folder.path().join("ortho.tif"), folder.path().join("map/poses.csv"));
    fs::create_dir(folder.path().join("map")).unwrap();
    // 400 x 300 m at 1 m a pixel; the middle of UTM's zone 14 is at 99 degrees west.
    geotiff(&map, &chart(400, 300), [1.0, 1.0, 0.0], [0.0, 0.0, 0.0, 499_800.0, 3_338_000.0, 0.0], &UTM14);
    let summary = import(&map, &out, &["--footprints-m", "40,80", "--overlap", "0.5", "--attribution", "Drones, Inc"])
        .expect(0)
        .json();
    assert!(summary["notes"].to_string().contains("Drones, Inc"), "{summary}");
    let rows = read(&out);
    assert_eq!(summary["written"], rows.len());
    assert!(rows.iter().any(|row| row["file"].starts_with("f80/")));
    for row in &rows {
        let (north, east) = size_m(row);
        let side = number(row, "footprint_m");
        assert!((north - side).abs() < 1.2 && (east - side).abs() < 1.2, "{north} x {east} m instead of {side}");
        // The colours tell where in the map the tile was cut.
        let tile = image::open(folder.path().join("map/images").join(&row["file"])).unwrap().to_rgb8();
        let Rgb([red, green, _]) = *tile.get_pixel(tile.width() / 2, tile.height() / 2);
        let east_m = (number(row, "lon") + 99.0) * 111_195.08 * number(row, "lat").to_radians().cos() + 200.0;
        assert!((f64::from(red) * 400.0 / 255.0 - east_m).abs() < 6.0, "{red}: {east_m} m from the west edge");
        assert!(green > 0);
    }
    let build =
        run("build", &[&"--vectors", &"/none.npy", &"--poses", &out, &"--space", &"s", &"--out", &"/tmp/none.shard"]);
    assert!(build.stderr.contains("/none.npy"), "the poses are read: {}", build.stderr);
}

#[test]
fn pixels_that_are_square_in_degrees_make_tiles_that_are_square_on_the_ground() {
    let folder = TempDir::new().unwrap();
    let (map, out) = (folder.path().join("satellite.tif"), folder.path().join("poses.csv"));
    // At 60 degrees north a pixel of 1e-5 degrees is 1.11 m high and 0.56 m wide.
    geotiff(&map, &chart(600, 300), [1e-5, 1e-5, 0.0], [0.0, 0.0, 0.0, 10.0, 60.0, 0.0], &DEGREES);
    import(&map, &out, &["--footprints-m", "100"]).expect(0);
    for row in read(&out) {
        let (north, east) = size_m(&row);
        assert!((north - 100.0).abs() < 1.0 && (east - 100.0).abs() < 1.0, "{north} x {east} m");
        let tile = image::open(folder.path().join("images").join(&row["file"])).unwrap();
        assert_eq!(tile.width(), tile.height());
    }
}

#[test]
fn maps_that_do_not_say_where_they_lie_are_refused_with_a_way_out() {
    let folder = TempDir::new().unwrap();
    let (map, out) = (folder.path().join("map.tif"), folder.path().join("poses.csv"));
    let mut tiff = TiffEncoder::new(fs::File::create(&map).unwrap()).unwrap();
    tiff.write_image::<colortype::RGB8>(100, 100, chart(100, 100).as_raw()).unwrap();
    drop(tiff);
    assert!(import(&map, &out, &[]).expect(1).stderr.contains("--bounds"));
    import(&map, &out, &["--bounds", "50.001,8,50,8.0015", "--footprints-m", "40"]).expect(0);
    geotiff(&map, &chart(100, 100), [1.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1e5, 1e5, 0.0], &[1, 1, 0, 1, 3072, 0, 1, 32767]);
    let error = import(&map, &out, &[]).expect(1).stderr;
    assert!(error.contains("--crs") && error.contains("its own making"), "{error}");
    import(&map, &out, &["--crs", "EPSG:32632", "--footprints-m", "40"]).expect(0);
    fs::write(&map, b"II*\0 nothing more").unwrap();
    assert!(import(&map, &out, &[]).expect(1).stderr.contains("map.tif"));
    let whole = {
        geotiff(&map, &chart(200, 200), [1.0, 1.0, 0.0], [0.0, 0.0, 0.0, 5e5, 5e6, 0.0], &UTM14);
        fs::read(&map).unwrap()
    };
    // The directory of this encoder is at the end, so a cut file has none; one that lost its middle has it.
    fs::write(&map, &whole[..whole.len() / 2]).unwrap();
    assert!(import(&map, &out, &[]).expect(1).stderr.contains("map.tif"));
    fs::write(&map, b"not a picture").unwrap();
    assert!(import(&folder.path().join("map.bmp"), &out, &[]).expect(1).stderr.contains("expected .tif"));
}

#[test]
fn a_picture_with_a_world_file_is_a_map() {
    let folder = TempDir::new().unwrap();
    let (map, out) = (folder.path().join("ortho.png"), folder.path().join("poses.csv"));
    chart(200, 100).save(&map).unwrap();
    // The middle of the first pixel.
    fs::write(folder.path().join("ortho.pgw"), "1\n0\n0\n-1\n500000.5\n5538630.5\n").unwrap();
    assert!(import(&map, &out, &[]).expect(1).stderr.contains("--crs"));
    import(&map, &out, &["--crs", "EPSG:32632", "--footprints-m", "50"]).expect(0);
    let first = &read(&out)[0];
    assert!((number(first, "top_left_lon") - 9.0).abs() < 1e-7, "{first:?}");
}

/// A tile that is one colour.
fn tile(red: u8) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    RgbImage::from_pixel(256, 256, Rgb([red, 100, 100])).write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// The colours in the middles of the tiles that were cut, from north to south.
fn colours(out: &Path, images: &Path) -> Vec<u8> {
    let mut rows = read(out);
    rows.sort_by(|a, b| number(b, "lat").total_cmp(&number(a, "lat")));
    rows.iter().map(|row| image::open(images.join(&row["file"])).unwrap().to_rgb8().get_pixel(20, 20).0[0]).collect()
}

#[test]
fn rows_of_xyz_tiles_count_from_the_north_and_those_of_mbtiles_from_the_south() {
    let folder = TempDir::new().unwrap();
    let (out, images) = (folder.path().join("poses.csv"), folder.path().join("images"));
    // Zoom 16 near 50 degrees north: a tile is 393 m wide. The upper of two tiles is red.
    let (column, upper) = (34_200_u32, 22_000_u32);
    for (row, red) in [(upper, 250), (upper + 1, 10)] {
        let path = folder.path().join(format!("xyz/16/{column}/{row}.png"));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, tile(red)).unwrap();
    }
    fs::write(folder.path().join("xyz/metadata.json"), "{\"attribution\": \"A Mapper\"}").unwrap();
    let pattern = folder.path().join("xyz/{z}/{x}/{y}");
    let more = ["--footprints-m", "300", "--overlap", "0"];
    let summary = import(&pattern, &out, &more).expect(0).json();
    assert!(summary["notes"].to_string().contains("A Mapper"));
    let from_folder = colours(&out, &images);
    assert!(from_folder.first().unwrap() > &240 && from_folder.last().unwrap() < &20, "{from_folder:?}");

    let file = folder.path().join("map.mbtiles");
    let base = rusqlite::Connection::open(&file).unwrap();
    base.execute_batch(
        "CREATE TABLE metadata (name text, value text); CREATE TABLE tiles (zoom_level integer, tile_column integer, \
         tile_row integer, tile_data blob); INSERT INTO metadata VALUES ('attribution', 'B Mapper'), ('format', 'png');",
    )
    .unwrap();
    for (row, red) in [(upper, 250_u8), (upper + 1, 10)] {
        let flipped = (1_u32 << 16) - 1 - row;
        base.execute("INSERT INTO tiles VALUES (16, ?1, ?2, ?3)", (column, flipped, tile(red))).unwrap();
    }
    drop(base);
    let summary = import(&file, &out, &more).expect(0).json();
    assert!(summary["notes"].to_string().contains("B Mapper"));
    assert_eq!(colours(&out, &images), from_folder);
    let base = rusqlite::Connection::open(&file).unwrap();
    base.execute("UPDATE metadata SET value = 'pbf' WHERE name = 'format'", []).unwrap();
    drop(base);
    assert!(import(&file, &out, &more).expect(1).stderr.contains("vector tiles"));
    let bytes = fs::read(&file).unwrap();
    fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
    assert!(import(&file, &out, &more).expect(1).stderr.contains("map.mbtiles"));
    fs::write(&file, b"").unwrap();
    assert!(import(&file, &out, &more).expect(1).stderr.contains("empty file"));
    assert!(import(&folder.path().join("xyz"), &out, &["--zoom", "3"]).expect(1).stderr.contains("found [16]"));
}

/// Recall@1 and @5 within 25 m of the drone frames of cross_caliterra_ortho against a set of tiles.
fn recall(shared: &Path, (poses, images): (&Path, &Path), folder: &Path) -> (f64, f64) {
    let set = shared.join("imagery/cross_caliterra_ortho");
    let shard = folder.join("tiles.shard");
    // Not the one with 8-bit weights: its rounding alone moves four of the 75 frames between two JPEGs of the same tiles.
    let model = model_fp32(shared);
    run("build", &[&"--images", &images, &"--poses", &poses, &"--encoder", &model, &"--out", &shard]).expect(0);
    let report = run(
        "evaluate",
        &[
            &"--index",
            &shard,
            &"--encoder",
            &model,
            &"--images",
            &set,
            &"--poses",
            &set.join("queries.csv"),
            &"--thresholds-m",
            &"25",
            &"--json",
            &"-",
        ],
    );
    let report: Value = report.expect(0).json();
    let at = |rank: &str| report["recall"][rank]["25"].as_f64().unwrap();
    (at("1"), at("5"))
}

#[test]
fn the_orthophoto_as_a_geotiff_finds_as_much_as_the_tiles_that_were_cut_from_it() {
    let Some(shared) = shared("the_orthophoto_as_a_geotiff_finds_as_much_as_the_tiles_that_were_cut_from_it") else {
        return;
    };
    let set = shared.join("imagery/cross_caliterra_ortho");
    let folder = TempDir::new().unwrap();
    let bounds = &read(&set.join("ortho_bounds.csv"))[0];
    let ortho = image::open(set.join("ortho.jpg")).unwrap().to_rgb8();
    let (north, west) = (number(bounds, "top_left_lat"), number(bounds, "top_left_lon"));
    let scale = [
        (number(bounds, "bottom_right_lon") - west) / f64::from(ortho.width()),
        (north - number(bounds, "bottom_right_lat")) / f64::from(ortho.height()),
        0.0,
    ];
    let map: PathBuf = folder.path().join("ortho.tif");
    geotiff(&map, &ortho, scale, [0.0, 0.0, 0.0, west, north, 0.0], &DEGREES);
    let out = folder.path().join("poses.csv");
    import(&map, &out, &["--footprints-m", "50", "--overlap", "0.66"]).expect(0);
    let ours = recall(&shared, (&out, &folder.path().join("images")), folder.path());
    let theirs = recall(&shared, (&set.join("tiles.csv"), &set), folder.path());
    println!("Recall@1 and @5 within 25 m: {ours:?} with our tiles, {theirs:?} with those of the set");
    // Ours are a few more, at the edges, and may find more.
    assert!(ours.0 >= theirs.0 - 0.02 && ours.1 >= theirs.1 - 0.02, "{ours:?}, {theirs:?}");
}
