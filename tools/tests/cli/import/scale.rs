//! A million rows.

use std::fmt::Write as _;
use std::fs;
use std::process::Stdio;
use std::time::Duration;

use super::Set;
use crate::common::command;

/// The most memory that an import had, bytes, and its processor seconds.
fn import(set: &Set, name: &str, more: &[&str]) -> (u64, f64) {
    let mut import = command("import");
    import.arg(name).arg("--root").arg(set.root()).arg("--out").arg(set.out()).arg("--no-pictures").args(more);
    let mut process = import.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let (mut peak, mut seconds) = (0, 0.0);
    let end = loop {
        let read = |file: &str| fs::read_to_string(format!("/proc/{}/{file}", process.id())).unwrap_or_default();
        let status = read("status");
        let kib = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse().ok());
        peak = kib.map_or(peak, |kib: u64| kib * 1024);
        let stat = read("stat");
        let ticks: Vec<f64> = stat
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .skip(11)
            .take(2)
            .filter_map(|text| text.parse().ok())
            .collect();
        seconds = f64::max(seconds, ticks.iter().sum::<f64>() / 100.0);
        match process.try_wait().unwrap() {
            Some(end) => break end,
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    };
    assert!(end.success() && peak > 0, "{end}");
    (peak, seconds)
}

/// `train.csv` of OSV-5M with so many rows of the usual length, 580 bytes.
fn osv5m(rows: usize) -> Set {
    let set = Set::new();
    let mut text =
        "id,latitude,longitude,thumb_original_url,country,sequence,captured_at,region,city,creator_id\n".to_owned();
    let url = "u".repeat(440);
    for row in 0..rows {
        let number = (row as u64).wrapping_mul(6_364_136_223_846_793_005) >> 12;
        let (lat, lon) = ((number % 170_000) as f64 / 1000.0 - 85.0, (number % 359_000) as f64 / 1000.0 - 179.5);
        writeln!(text, "{number},{lat},{lon},{url},FR,seq{},1500000000000,Some Region,A Town,{}", row / 50, row / 900)
            .unwrap();
    }
    set.file("train.csv", text);
    set
}

/// Memory does not grow with the rows, beyond what sorting holds.
#[test]
#[cfg(target_os = "linux")]
fn ten_times_the_rows_take_no_more_memory() {
    let (few, _) = import(&osv5m(20_000), "osv5m", &["--check"]);
    let (many, _) = import(&osv5m(200_000), "osv5m", &["--check"]);
    println!("{few} bytes for 20,000 rows, {many} for 200,000");
    assert!(many < few + (32 << 20), "{few} bytes for 20,000 rows, {many} for 200,000");
}

/// Prints what a million rows cost; run with `--ignored --nocapture`.
#[test]
#[ignore = "a million rows, 580 MB on the disk"]
fn a_million_rows() {
    let set = osv5m(1_000_000);
    print_cost(&set, "osv5m", "train.csv");
    let set = Set::new();
    let mut text =
        "IMG_ID,AUTHOR,LAT,LON,S3_Label,S16_Label,S365_Label,Prob_indoor,Prob_natural,Prob_urban\n".to_owned();
    for row in 0..1_000_000_u32 {
        let (lat, lon) = (f64::from(row % 170_000) / 1000.0 - 85.0, f64::from(row % 359_000) / 1000.0 - 179.5);
        writeln!(
            text,
            "{:02x}/{:02x}/{row}.jpg,{}@N00,{lat},{lon},2,1,17,0.0012345678,0.0456789,0.9530865",
            row % 256,
            row % 251,
            row / 9
        )
        .unwrap();
    }
    set.file("mp16_places365.csv", text);
    print_cost(&set, "mp16", "mp16_places365.csv");
}

/// What an import of the table costs, with and without `--check`.
fn print_cost(set: &Set, name: &str, table: &str) {
    let megabytes = fs::metadata(set.root().join(table)).unwrap().len() as f64 / 1e6;
    for more in [&[][..], &["--check"]] {
        let (peak, seconds) = import(set, name, more);
        println!(
            "{name} {}: {megabytes:.0} MB in {seconds:.2} processor seconds, {:.0} MB/s, {} MiB",
            more.concat(),
            megabytes / seconds,
            peak >> 20
        );
        assert!(peak < 128 << 20, "{peak} bytes");
    }
}
