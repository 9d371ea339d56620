//! What is wrong with a file or an option is said on one line, with status 2, and leaves nothing
//! behind.

mod files;

use crate::common::Outcome;
use files::files;

/// The one line that begins with `tfc: ` of a command that fails with status 2; more lines may
/// follow only where `more` says so.
fn complaint(args: &str, outcome: &Outcome) -> String {
    let Outcome { status, stdout, stderr } = outcome;
    assert_eq!(*status, Some(2), "{args}: {outcome:?}");
    assert_eq!(stdout, "", "{args} prints on stdout");
    assert!(stderr.starts_with("tfc: ") && stderr.ends_with('\n'), "{args}: {stderr:?}");
    stderr.clone()
}

fn each_is_refused<S: AsRef<str>>(cases: &[(S, &str)]) {
    let folder = files();
    let before = folder.names();
    for (args, named) in cases {
        let args = args.as_ref();
        let stderr = complaint(args, &folder.tfc(&format!("-q {args}")));
        assert_eq!(stderr.lines().count(), 1, "{args}: {stderr}");
        assert!(stderr.contains(named), "{args}: `{named}` is not named in {stderr}");
        assert_eq!(folder.names(), before, "{args} leaves something behind");
    }
    assert_eq!(folder.read("exists.tfc"), b"keep me");
}

#[test]
fn networks() {
    let bad = [
        ("cut.safetensors", "cut.safetensors: is damaged or truncated"),
        ("short.safetensors", "short.safetensors"),
        ("empty.safetensors", "empty.safetensors"),
        ("png.safetensors", "png.safetensors: is neither a .safetensors file nor an .onnx model"),
        ("lies.safetensors", "lies.safetensors"),
        ("missing.safetensors", "missing.safetensors: cannot be read"),
        ("folder", "folder: is not a regular file"),
        ("/dev/zero", "/dev/zero: is not a regular file"),
        ("good.tfc", "good.tfc: is neither a .safetensors file nor an .onnx model"),
    ];
    let cases: Vec<(String, &str)> = bad
        .iter()
        .flat_map(|(file, named)| {
            [
                (format!("compile {file} -o out.tfc"), *named),
                (format!("compile {file} -o out.tfc --data builtin:digits?train=20&test=10"), named),
                (format!("graph {file}"), named),
            ]
        })
        .collect();
    each_is_refused(&cases);
}

#[test]
fn weights_and_graphs() {
    each_is_refused(&[
        ("compile nan.safetensors", "tensor `fc1.weight` holds NaN at index 0"),
        ("compile chain.safetensors", "tensor `fc2.weight` of node `fc2` has shape [5, 2], expected [5, 3]"),
        ("compile good.safetensors -o out.tfc --graph bad.toml", "bad.toml"),
        ("compile good.safetensors -o out.tfc --graph missing.toml", "missing.toml"),
        ("compile good.safetensors -o out.tfc --graph folder", "folder: is not a regular file"),
        ("compile good.safetensors -o out.tfc --input-shape 3x9x9", "[6, 784]"),
        ("compile good.safetensors -o out.tfc --std 0", "good.safetensors: preprocessing is not valid"),
        ("train bad.toml --data builtin:digits -o out.safetensors", "bad.toml"),
        (
            "train lenet99 --data builtin:digits -o out.safetensors",
            "known architectures are lenet5, lenet_300",
        ),
        ("train folder --data builtin:digits -o out.safetensors", "folder: is not a regular file"),
    ]);
}

#[test]
fn unknown_architectures_list_their_tensors() {
    let folder = files();
    let before = folder.names();
    let args = "compile unknown.safetensors -o out.tfc";
    let stderr = complaint(args, &folder.tfc(args));
    let first = stderr.lines().next().unwrap();
    assert!(first.contains("unknown.safetensors: the architecture is not known"), "{first}");
    assert!(stderr.contains("\n  encoder.gamma [2, 3, 4, 1, 1]\n"), "{stderr}");
    assert_eq!(folder.names(), before);
}

#[test]
fn artifacts() {
    let bad = [
        ("cut.tfc", "cut.tfc: "),
        ("empty.tfc", "empty.tfc: "),
        ("flipped.tfc", "flipped.tfc: "),
        ("text.tfc", "text.tfc: "),
        ("missing.tfc", "missing.tfc: "),
        ("folder", "folder: not a regular file"),
        ("/dev/zero", "/dev/zero: not a regular file"),
        ("good.safetensors", "good.safetensors: "),
    ];
    let verbs = [
        "inspect FILE",
        "run FILE input.npy -o out.npy",
        "eval FILE --data builtin:digits?train=20&test=10",
        "bench FILE --seconds 0",
        "bench good.tfc --seconds 0 --against FILE",
    ];
    let cases: Vec<(String, &str)> =
        bad.iter().flat_map(|(file, named)| verbs.map(|verb| (verb.replace("FILE", file), *named))).collect();
    each_is_refused(&cases);
}

#[test]
fn data_sets() {
    let bad = [
        ("missing", "`missing` is neither built in nor does it exist"),
        ("folder", "`folder` holds no data set"),
        ("notes.txt", "`notes.txt` holds no data set"),
        ("none", "none/train-images-idx3-ubyte: is empty"),
        ("labels", "labels/t10k-labels-idx1-ubyte: label 7 of sample 1 is out of range"),
        ("count", "has 2 images, but"),
        ("cut", "cut/train-images-idx3-ubyte: is truncated"),
        ("ragged", "ragged/data_batch_1.bin: has 3074 bytes; expected records of 3073 bytes"),
        ("eleven", "eleven/test_batch.bin: record 0 has label 10"),
        ("broken", "broken/cat/1.jpg: is neither a PNG nor a JPEG image"),
        ("tall", "tall/cat/1.png: image is 28 wide and 30 high, which does not fit"),
        ("photos --labels few.csv", "photos/1.png: has no label in few.csv"),
        ("photos --labels titles.csv", "titles.csv: line 2: class `0`"),
        ("photos --labels missing.csv", "missing.csv: "),
        ("photos --labels labels.csv --label-offset 10", "11 classes"),
        ("photos --labels labels.csv --label-offset 4294967295", "out of range"),
        ("twelve --labels labels.csv", "labels.csv: `twelve` is no folder of images without classes"),
        ("builtin:digits?train=0", "train=0"),
        ("builtin:letters", "`builtin:letters`"),
        ("twelve", "12 classes"),
    ];
    let verbs = [
        "compile good.safetensors -o out.tfc --sparsity 0.5 --epochs 1 --device cpu --data DATA",
        "train lenet_300_100 -o out.safetensors --epochs 1 --device cpu --data DATA",
    ];
    let mut cases: Vec<(String, &str)> = bad
        .iter()
        .flat_map(|(data, named)| verbs.map(|verb| (verb.replace("DATA", data), *named)))
        .chain(bad.iter().map(|(data, named)| (format!("eval good.tfc --split train --data {data}"), *named)))
        .collect();
    cases.push((
        verbs[0].replace("DATA", "small"),
        "data set `small` has samples of 1x5x5, the network takes 784",
    ));
    cases.push((verbs[1].replace("DATA", "small"), "samples are 1x5x5, the network takes 1x28x28"));
    cases.push((verbs[1].replace("DATA", "photos"), "samples have no labels"));
    cases.push(("eval good.tfc --split train --data photos".to_owned(), "samples have no labels"));
    cases.push((
        "eval good.tfc --data photos --labels labels.csv".to_owned(),
        "data set `photos` has no test set; give the other --split",
    ));
    cases.push((
        "eval good.tfc --data small".to_owned(),
        "takes 784 inputs a sample (784), the data set has 25",
    ));
    each_is_refused(&cases);
}

#[test]
fn inputs_of_run() {
    each_is_refused(&[
        ("run good.tfc short.npy -o out.npy", "short.npy: array of shape [783] does not fit"),
        ("run good.tfc none.npy -o out.npy", "none.npy"),
        ("run good.tfc nan.npy -o out.npy", "nan.npy: holds NaN at index 0"),
        ("run small.tfc input.npy -o out.npy", "input.npy: array of shape [784] does not fit"),
        ("run good.tfc notes.txt -o out.npy", "notes.txt: is neither"),
        ("run good.tfc missing.npy -o out.npy", "missing.npy: "),
        ("run good.tfc folder -o out.npy", "folder: "),
        ("run good.tfc /dev/zero -o out.npy", "/dev/zero: "),
    ]);
}

#[test]
fn outputs() {
    let verbs = [
        "compile good.safetensors -o OUT",
        "run good.tfc input.npy -o OUT",
        "train lenet_300_100 --data builtin:digits?train=20&test=10 --epochs 1 --device cpu -o OUT",
    ];
    let bad = [
        ("nowhere/out.tfc", "nowhere/out.tfc: cannot write into nowhere"),
        ("exists.tfc", "exists.tfc: exists already; --force replaces it"),
        ("folder --force", "folder: is a directory"),
        ("/dev/full --force", "/dev/full: "),
        ("exists.tfc/out --force", "exists.tfc/out: "),
    ];
    let mut cases: Vec<(String, &str)> =
        bad.iter().flat_map(|(out, named)| verbs.map(|verb| (verb.replace("OUT", out), *named))).collect();
    for (report, named) in [("nowhere/r.json", "nowhere/r.json: "), ("exists.tfc", "exists.tfc: exists")] {
        cases.push((format!("compile good.safetensors -o out.tfc --report {report}"), named));
    }
    each_is_refused(&cases);
}

#[test]
fn numbers_out_of_range() {
    let with_data = "compile good.safetensors -o out.tfc --data builtin:digits?train=40&test=10 --device cpu";
    let train = "train lenet_300_100 -o out.safetensors --data builtin:digits?train=40&test=10 --device cpu";
    let compile = [
        ("--sparsity=1.0", "sparsity is 1;"),
        ("--sparsity=-0.1", "sparsity is -0.1;"),
        ("--sparsity=nan", "sparsity is NaN;"),
        ("--sparsity=95", "sparsity is 95;"),
        ("--max-drop=-1", "the largest drop is -1;"),
        ("--max-drop=nan", "the largest drop is NaN;"),
        ("--sparsity=0.5 --temperature=0", "temperature 0"),
        ("--sparsity=0.5 --distill=2", "weight 2"),
    ];
    let both = [
        ("--held-out=0", "0"),
        ("--held-out=1", "1"),
        ("--held-out=nan", "NaN"),
        ("--rate=0", "learning rate is 0"),
        ("--rate=nan", "learning rate is NaN"),
        ("--momentum=1", "momentum is 1"),
        ("--decay=-1", "weight decay is -1"),
        ("--shift-crop=28", "images of 1x28x28 cannot be shifted by 28 pixels"),
    ];
    let mut cases = vec![
        ("compile good.safetensors -o out.tfc --max-drop=1".to_owned(), "--data"),
        ("compile good.safetensors -o out.tfc --max-drop=1 --max-bytes=1kB".to_owned(), "--data"),
        ("bench good.tfc --seconds=nan".to_owned(), "--seconds is NaN"),
        ("bench good.tfc --seconds=-1".to_owned(), "--seconds is -1"),
        ("bench good.tfc --seconds=1e300".to_owned(), "--seconds is 1000"),
        ("bench good.tfc --seconds 0 --min-speedup=nan".to_owned(), "--min-speedup is NaN"),
        (
            "eval good.tfc --data builtin:digits?train=20&test=10 --max-error=nan".to_owned(),
            "--max-error is NaN",
        ),
    ];
    cases.extend(compile.iter().map(|(flag, named)| (format!("{with_data} {flag}"), *named)));
    for (flag, named) in both {
        cases.push((format!("{with_data} --sparsity 0.5 {flag}"), named));
        cases.push((format!("{train} {flag}"), named));
    }
    each_is_refused(&cases);
}

#[test]
fn networks_to_compare() {
    each_is_refused(&[
        ("diff good.safetensors missing.onnx", "missing.onnx: "),
        ("diff cut.safetensors good.tfc", "cut.safetensors: is damaged"),
        ("diff good.safetensors cut.tfc", "cut.tfc: "),
        ("diff flipped.tfc good.safetensors", "flipped.tfc: "),
        ("diff good.tfc text.tfc", "text.tfc: "),
        ("diff good.tfc missing.tfc", "missing.tfc: "),
        ("diff good.tfc folder", "folder: is not a regular file"),
        ("diff good.tfc notes.txt", "notes.txt: is neither"),
        ("diff good.tfc /dev/zero", "/dev/zero: is not a regular file"),
        ("diff good.tfc small.tfc", "good.tfc, small.tfc: the inputs differ in shape: 784 and 25"),
        (
            "diff small.safetensors wider.tfc",
            "small.safetensors, wider.tfc: the outputs differ in shape: 3 and 4",
        ),
        ("diff good.tfc good.tfc --data missing", "`missing` is neither built in"),
        ("diff good.tfc good.tfc --data small", "takes 784 inputs a sample (784), the data set has 25"),
        ("diff one.tfc one.tfc --min-agreement 0.5", "one.tfc, one.tfc: --min-agreement is for classifiers"),
        ("diff good.tfc good.tfc --tolerance=nan", "--tolerance is NaN"),
        ("diff good.tfc good.tfc --tolerance=-1", "--tolerance is -1"),
        ("diff good.tfc good.tfc --min-agreement 99", "--min-agreement is 99"),
    ]);
}

#[test]
fn files_that_are_needed() {
    let train =
        "train lenet_300_100 --data builtin:digits?train=20&test=10 --device cpu -o exists.tfc --force";
    let folder = files();
    folder.write("exists.tfc.work", b"mine");
    let stderr = complaint(train, &folder.tfc(&format!("-q {train}")));
    assert!(stderr.contains("exists.tfc.work: is in the way"), "{stderr}");
    assert_eq!(folder.read("exists.tfc.work"), b"mine");
    each_is_refused(&[
        ("compile good.safetensors -o good.safetensors --force", "good.safetensors: would be overwritten"),
        ("compile good.safetensors -o out.tfc --report ./out.tfc", "out.tfc: would be overwritten"),
        ("run good.tfc input.npy -o good.tfc --force", "good.tfc: would be overwritten"),
    ]);
}

/// What the parser of arguments refuses takes it more than a line to explain.
#[test]
fn names_of_options() {
    let folder = files();
    let before = folder.names();
    for (args, named) in [
        ("compile good.safetensors -o out.tfc --method best", "best"),
        ("compile good.safetensors -o out.tfc --scope everything", "everything"),
        ("compile good.safetensors -o out.tfc --device tpu", "unknown device `tpu`: it is auto, gpu or cpu"),
        ("compile good.safetensors -o out.tfc --sparsity 0.5 --block 3", "expected 1, 2 or 4"),
        ("compile good.safetensors -o out.tfc --rank 0", "`0` is no rank"),
        ("compile good.safetensors -o out.tfc --solver newton", "unknown solver `newton`"),
        ("compile good.safetensors -o out.tfc --low-rank cp", "expected auto, svd, tri or off"),
        ("compile good.safetensors -o out.tfc --sparsity 0.5 --max-drop 1", "--max-drop"),
        ("compile good.safetensors -o out.tfc --sparsity 0.5 --max-bytes 1kB", "--max-bytes"),
        ("compile good.safetensors -o out.tfc --sparsity 0.5 --max-latency 1us", "--max-latency"),
        ("compile good.safetensors -o out.tfc --max-bytes 60k", "expected a size such as 60kB"),
        ("compile good.safetensors -o out.tfc --max-latency 200", "expected a time with its unit"),
        ("compile good.safetensors -o out.tfc --input-shape 3x4", "3x4"),
        ("compile good.safetensors -o out.tfc --resize 0", "expected a side such as 256"),
        ("compile good.safetensors -o out.tfc --labels labels.csv", "--data"),
        ("compile good.safetensors -o out.tfc --optimizer lion", "lion"),
        ("eval good.tfc", "--data"),
        ("inspect good.tfc --format yaml", "yaml"),
        ("diff good.tfc good.tfc --samples 0", "expected a whole number from 1"),
        ("train lenet5 --data builtin:digits -o out --batch 0", "expected a whole number from 1"),
        ("compile good.safetensors -o out.tfc --rounds 0", "expected a whole number from 1"),
        ("run good.tfc input.npy --top 0", "expected a whole number from 1"),
        ("train lenet5 --data builtin:digits -o out --epochs 18446744073709551615", "--epochs"),
        ("explode", "explode"),
    ] {
        let Outcome { status, stdout, stderr } = folder.tfc(args);
        assert_eq!((status, stdout.as_str()), (Some(2), ""), "{args}: {stderr}");
        assert!(stderr.contains(named), "{args}: `{named}` is not named in {stderr}");
        assert_eq!(folder.names(), before, "{args} leaves something behind");
    }
}

/// A file that cannot be written to its end is not left half written. Files of this process may
/// have no bytes, which is how a full disk looks to who writes.
#[cfg(unix)]
#[test]
fn writes_that_fail() {
    use std::process::Command;
    let folder = files();
    let before = folder.names();
    for (args, named) in [
        ("compile good.safetensors -o out.tfc", "out.tfc: "),
        ("compile good.safetensors -o exists.tfc --force", "exists.tfc: "),
        ("run good.tfc input.npy -o out.npy", "out.npy: "),
        (
            "train lenet_300_100 --data builtin:digits?train=20&test=10 --epochs 2 --device cpu -o out",
            "out.work",
        ),
    ] {
        let program = folder.command("").get_program().to_owned();
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' XFSZ; ulimit -f 0; exec \"$0\" -q \"$@\""]).arg(program);
        let output = command.args(args.split(' ')).current_dir(folder.path("")).output().unwrap();
        let stderr = complaint(args, &output.into());
        assert_eq!(stderr.lines().count(), 1, "{args}: {stderr}");
        assert!(stderr.contains(named) && stderr.contains("File too large"), "{args}: {stderr}");
        assert_eq!(folder.names(), before, "{args} leaves something behind");
    }
    assert_eq!(folder.read("exists.tfc"), b"keep me");
}
