//! `geolocate build`.

use std::fs;

use tempfile::TempDir;

use crate::common::{at_angle, build_set, command, finish, model, npy, plane_shard, run, shared};

#[test]
fn the_bytes_do_not_depend_on_the_threads() {
    let Some(shared) = shared("the_bytes_do_not_depend_on_the_threads") else { return };
    let (folder, set) = (TempDir::new().unwrap(), shared.join("imagery/brighton_beach"));
    let build = |threads: &str| {
        let out = folder.path().join(format!("{threads}.shard"));
        let poses = set.join("poses.csv");
        let images = set.join("images");
        run(
            "build",
            &[
                &"--images",
                &images,
                &"--poses",
                &poses,
                &"--encoder",
                &model(&shared),
                &"--threads",
                &threads,
                &"--out",
                &out,
            ],
        )
        .expect(0);
        fs::read(out).unwrap()
    };
    assert!(build("1") == build("5"));
}

#[test]
fn bad_rows_and_pictures_are_named_and_counted_and_the_others_go_in() {
    let Some(shared) = shared("bad_rows_and_pictures_are_named_and_counted_and_the_others_go_in") else { return };
    let folder = TempDir::new().unwrap();
    let images = folder.path().join("images");
    fs::create_dir(&images).unwrap();
    let whole = fs::read(shared.join("imagery/caliterra/images/img_9354.jpg")).unwrap();
    fs::write(images.join("good.jpg"), &whole).unwrap();
    fs::write(images.join("cut.jpg"), &whole[..700]).unwrap();
    fs::write(images.join("text.jpg"), b"this is not a picture").unwrap();
    fs::write(folder.path().join("outside.jpg"), &whole).unwrap();
    let poses = folder.path().join("poses.csv");
    let rows = "file,lat,lon\ngood.jpg,30,-98\ncut.jpg,30,-98\ntext.jpg,30,-98\nnone.jpg,30,-98\n\
                ../outside.jpg,30,-98\nswapped.jpg,-98,30\ngood.jpg,30,-98\n";
    fs::write(&poses, rows).unwrap();
    let out = folder.path().join("a.shard");
    let mut build = command("build");
    build.arg("--images").arg(&images).arg("--poses").arg(&poses).arg("--encoder").arg(model(&shared));
    build.arg("--out").arg(&out).args(["--json", "-"]);
    let result = finish(&mut build).expect(0);
    for name in ["cut.jpg", "text.jpg", "none.jpg", "../outside.jpg", "line 7", "line 8", "look swapped"] {
        assert!(result.stderr.contains(name), "{name} is missing in {}", result.stderr);
    }
    assert!(result.stderr.contains("in: 1, left out: 6"), "{}", result.stderr);
    let json = result.json();
    assert_eq!(json["rows"], 1);
    let counts = serde_json::json!({"bad_picture": 2, "bad_row": 2, "missing_picture": 1, "outside_folder": 1});
    assert_eq!(json["left_out"], counts);

    fs::remove_file(&out).unwrap();
    let strict = finish(build.arg("--strict")).expect(1);
    assert!(strict.stderr.contains("--strict"), "{}", strict.stderr);
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 3, "nothing but the inputs: {left:?}");
}

#[test]
fn positions_come_from_exif_where_there_are_no_poses() {
    let Some(shared) = shared("positions_come_from_exif_where_there_are_no_poses") else { return };
    let (folder, set) = (TempDir::new().unwrap(), shared.join("imagery/originals"));
    let out = folder.path().join("exif.shard");
    let result =
        run("build", &[&"--images", &set, &"--encoder", &model(&shared), &"--out", &out, &"--json", &"-"]).expect(0);
    let json = result.json();
    let mut left_out: Vec<&str> =
        json["left_out_files"].as_array().unwrap().iter().map(|file| file["name"].as_str().unwrap()).collect();
    left_out.sort_unstable();
    let mut without_position = Vec::new();
    let mut expected = csv_rows(&fs::read_to_string(set.join("expected.csv")).unwrap());
    expected.retain(|(file, ..)| !file.ends_with(".mp4"));
    for (file, lat, lon) in &expected {
        if lat.is_empty() {
            without_position.push(file.as_str());
            continue;
        }
        let near = format!("{lat},{lon},1");
        let found = geolocate::pictures::read_below(&set, file, &quantized_models::DecodeLimits::default()).unwrap();
        let position = quantized_models::ExifTags::read(&found).position.unwrap_or_else(|| panic!("{file}"));
        let (lat, lon): (f64, f64) = (lat.parse().unwrap(), lon.parse().unwrap());
        assert!((position.lat_deg - lat).abs() < 1e-6 && (position.lon_deg - lon).abs() < 1e-6, "{file} {near}");
    }
    for file in without_position {
        assert!(left_out.contains(&file), "{file} has no position and should be named: {left_out:?}");
    }
    assert_eq!(json["rows"].as_u64().unwrap() as usize + left_out.len(), expected.len());
}

/// File, latitude, longitude of each row; none of the three is quoted.
fn csv_rows(text: &str) -> Vec<(String, String, String)> {
    let row = |line: &str| {
        let mut fields = line.split(',').map(str::to_owned);
        (fields.next().unwrap(), fields.next().unwrap(), fields.next().unwrap())
    };
    text.lines().skip(1).map(row).collect()
}

#[test]
fn a_role_that_nobody_has_is_an_error_that_lists_the_roles() {
    let Some(shared) = shared("a_role_that_nobody_has_is_an_error_that_lists_the_roles") else { return };
    let (folder, set) = (TempDir::new().unwrap(), shared.join("imagery/arezzo_walk"));
    let result = build_set(&set, &model(&shared), &folder.path().join("a.shard")).expect(1);
    assert!(result.stderr.contains("reference") && result.stderr.contains("outside (9)"), "{}", result.stderr);
}

#[test]
fn vectors_of_another_number_than_the_poses_are_refused_with_both_numbers() {
    let folder = TempDir::new().unwrap();
    plane_shard(&folder, "a", &[0.0, 10.0, 20.0]);
    npy(&folder.path().join("four.npy"), &[at_angle(0.0), at_angle(1.0), at_angle(2.0), at_angle(3.0)]);
    let (vectors, poses) = (folder.path().join("four.npy"), folder.path().join("a.csv"));
    let out = folder.path().join("b.shard");
    let result =
        run("build", &[&"--vectors", &vectors, &"--poses", &poses, &"--space", &"plane", &"--out", &out]).expect(1);
    assert!(result.stderr.contains("expected 3") && result.stderr.contains("found 4"), "{}", result.stderr);
    assert_eq!(result.stderr.lines().count(), 1, "{}", result.stderr);
}

#[test]
fn vectors_are_scaled_with_a_note_and_refused_by_row_where_they_have_no_direction() {
    let folder = TempDir::new().unwrap();
    let (vectors, poses) = (folder.path().join("v.npy"), folder.path().join("v.csv"));
    let out = folder.path().join("v.shard");
    fs::write(&poses, "file,lat,lon\na,50,8\nb,50,8\n").unwrap();
    let build = || run("build", &[&"--vectors", &vectors, &"--poses", &poses, &"--space", &"p", &"--out", &out]);
    npy(&vectors, &[vec![3.0, 4.0], vec![0.0, 1.0]]);
    let result = build().expect(0);
    assert!(result.stderr.contains("1 vectors were not of unit length"), "{}", result.stderr);
    for bad in [vec![0.0, 0.0], vec![f32::NAN, 1.0]] {
        npy(&vectors, &[vec![0.0, 1.0], bad]);
        let result = build().expect(1);
        assert!(result.stderr.contains("row 1") && result.stderr.contains("belongs to b"), "{}", result.stderr);
    }
}

#[test]
fn a_bad_row_leaves_out_its_vector_too() {
    let folder = TempDir::new().unwrap();
    let (vectors, poses) = (folder.path().join("v.npy"), folder.path().join("v.csv"));
    let out = folder.path().join("v.shard");
    npy(&vectors, &[at_angle(0.0), at_angle(90.0), at_angle(180.0)]);
    fs::write(&poses, "file,lat,lon\na,50,8\nb,95,8\nc,51,8\n").unwrap();
    run("build", &[&"--vectors", &vectors, &"--poses", &poses, &"--space", &"p", &"--out", &out]).expect(0);
    let found = run("search", &[&"--index", &out, &"--vectors", &vectors, &"-k", &"1"]).expect(0).json();
    assert_eq!(found["similar"][2], serde_json::json!([1]), "the third vector became row 1");
    assert!(found["similar_score"][2][0].as_f64().unwrap() > 0.999);
}

#[test]
fn with_images_only_rows_whose_picture_is_there_go_in() {
    let folder = TempDir::new().unwrap();
    let (vectors, poses) = (folder.path().join("v.npy"), folder.path().join("v.csv"));
    npy(&vectors, &[at_angle(0.0), at_angle(90.0)]);
    fs::write(&poses, "file,lat,lon\na.jpg,50,8\nb.jpg,50,8\n").unwrap();
    fs::write(folder.path().join("b.jpg"), b"").unwrap();
    let mut build = command("build");
    build.arg("--vectors").arg(&vectors).arg("--poses").arg(&poses).args(["--space", "p"]);
    build.arg("--images").arg(folder.path()).arg("--out").arg(folder.path().join("v.shard"));
    let result = finish(&mut build).expect(0);
    assert!(result.stdout.contains("in: 1, left out: 1 (missing_picture x 1)"), "{}", result.stdout);
    assert!(result.stderr.contains("a.jpg"), "{}", result.stderr);
}

#[test]
fn wrong_usage_is_status_2() {
    for arguments in [
        &["build"][..],
        &["build", "--nonsense"],
        &["build", "--vectors", "v.npy", "--out", "a.shard"],
        &["build", "--images", "d", "--encoder", "m", "--vectors", "v", "--poses", "p", "--space", "s", "--out", "o"],
        &["build", "--images", "d", "--encoder", "m", "--out", "o", "--threads", "0"],
        &["build", "--images", "d", "--encoder", "m", "--out", "o", "--pictures", "tokens"],
        &["build", "--vectors", "v", "--poses", "p", "--space", "s", "--out", "o", "--pictures", "thumbnails"],
        &["build", "--vectors", "v", "--poses", "p", "--space", "s", "--out", "o", "--remove", "names.txt"],
        &["build", "--vectors", "v", "--poses", "p", "--space", "s", "--out", "o", "--partition", "2/2"],
        &["build", "--vectors", "v", "--poses", "p", "--space", "s", "--out", "o", "--layout", "lists=1"],
        &["merge", "--out", "o"],
        &["inspect", "a.shard", "--blob", "b.jpg"],
        &["nonsense"],
    ] {
        finish(command(arguments[0]).args(&arguments[1..])).expect(2);
    }
}

#[test]
fn a_csv_that_cannot_be_used_is_one_line_that_names_it() {
    let folder = TempDir::new().unwrap();
    npy(&folder.path().join("v.npy"), &[at_angle(0.0)]);
    let (vectors, poses) = (folder.path().join("v.npy"), folder.path().join("v.csv"));
    let out = folder.path().join("a.shard");
    for (text, part) in
        [("", "\"file\" is missing"), ("file,lat\na,1\n", "\"lon\" is missing"), ("file,lat,lon\n", "found 1")]
    {
        fs::write(&poses, text).unwrap();
        let result = run("build", &[&"--vectors", &vectors, &"--poses", &poses, &"--space", &"p", &"--out", &out]);
        let result = result.expect(1);
        assert!(result.stderr.contains("v.csv") && result.stderr.contains(part), "{}", result.stderr);
        assert_eq!(result.stderr.lines().count(), 1, "{}", result.stderr);
        assert!(!out.exists());
    }
}
