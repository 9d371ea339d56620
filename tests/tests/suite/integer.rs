//! Networks on i8, from the command line to bytes in and bytes out.

use serde_json::Value;
use tfc::execute;
use tfc_formats::artifact::{AlignedBytes, Element};
use tfc_formats::dataset;
use tfc_runtime::{Model, Session};

use crate::common::{DIGITS, Folder, trained};

/// A folder with the trained network as `m.safetensors`.
fn folder() -> Folder {
    let folder = Folder::new();
    folder.save("m.safetensors", trained());
    folder
}

#[test]
fn bytes_answer_as_floats_do() {
    let folder = folder();
    let args = "compile m.safetensors --device cpu --low-rank off";
    folder.done(&format!("{args} -o f32.tfc --precision f32"));
    for method in ["min-max", "percentile", "mse"] {
        let file = format!("{method}.tfc");
        let quantize = format!("--calibration {DIGITS} --quantize int8 --quantize-range {method} -o {file}");
        let report = folder.json(&format!("{args} {quantize}"));
        assert_eq!(report["options"]["quantize"], method);
        // A byte a weight, and 4 more an output for each of bias and multiplier.
        let size = |file: &str| folder.read(file).len();
        assert!(size(&file) < size("f32.tfc") / 3, "{} and {}", size(&file), size("f32.tfc"));

        let compared = folder.json(&format!("diff m.safetensors {file} --data {DIGITS}"));
        let agreement = compared["agreement"]["top1"].as_f64().unwrap();
        assert!(agreement >= 0.95, "{method}: {agreement}");
    }
}

#[test]
fn raw_bytes_give_the_classes_that_eval_counts() {
    let folder = folder();
    let report = folder.json(&format!(
        "compile m.safetensors --device cpu --data {DIGITS} --sparsity 0.8 --epochs 2 --low-rank off \
         --quantize int8 -o a.tfc"
    ));
    let evaluated = folder.json(&format!("eval a.tfc --data {DIGITS}"));
    assert_eq!(evaluated["error_percent"], report["test"]["artifact"]);
    let [pruned, artifact] = ["pruned", "artifact"].map(|key| report["test"][key].as_f64().unwrap());
    assert!(artifact <= pruned, "tuned {artifact}%, untuned {pruned}%");

    let file = AlignedBytes::from(folder.read("a.tfc").as_slice());
    let model = Model::new(&file).unwrap();
    let header = model.header();
    assert!(header.input.element.is_i8() && header.output.element.is_i8());
    let Element::I8 { scale, zero } = header.output.element else { panic!() };
    let mut arena = AlignedBytes::zeroed(model.arena_len());
    let mut session = Session::new(&model, &mut arena).unwrap();
    let samples = dataset::load(DIGITS).unwrap().test;
    let mut errors = 0;
    for (raw, label) in samples.data.chunks_exact(28 * 28).zip(&samples.labels) {
        let bytes = session.run_raw_i8(raw).unwrap().to_vec();
        let numbers: Vec<f32> =
            bytes.iter().map(|q| scale * f32::from(i16::from(*q) - i16::from(zero))).collect();
        assert_eq!(session.run_raw(raw).unwrap(), numbers);
        errors += u64::from(execute::arg_max(&numbers) != *label as usize);
    }
    // Floats are rounded to other bytes than raw samples are where both lie close.
    let counted = evaluated["errors"].as_u64().unwrap();
    assert!(errors.abs_diff(counted) <= 1, "{errors} and {counted}");
}

#[test]
fn verbs_take_networks_on_bytes() {
    let folder = folder();
    folder.done(&format!("compile m.safetensors --calibration {DIGITS} --quantize int8 -o a.tfc"));
    let layers = folder.json("inspect a.tfc");
    assert!(layers["layers"].as_array().unwrap().iter().any(|layer| layer["weights"] != 0), "{layers}");
    // Beside the same steps on f32.
    let benched = folder.json("bench a.tfc --seconds 0");
    assert_eq!(benched.as_array().unwrap().len(), 2);
    assert!(benched.as_array().unwrap().iter().all(|row| row["p50_us"] != Value::Null));
}

#[test]
fn what_cannot_be_on_bytes_is_refused() {
    let folder = folder();
    for (args, named) in [
        ("--quantize int8".to_owned(), "--calibration"),
        (format!("--calibration {DIGITS} --quantize int4"), "int8"),
        (format!("--calibration {DIGITS} --quantize int8 --precision f32"), "--precision"),
        (format!("--calibration {DIGITS} --sparsity 0.5 --quantize-range mse"), "--quantize"),
    ] {
        let outcome = folder.tfc(&format!("compile m.safetensors {args}"));
        assert_eq!(outcome.status, Some(2), "{args}: {outcome:?}");
        assert!(outcome.stderr.contains(named), "{args}: {outcome:?}");
    }
    assert_eq!(folder.names(), ["m.safetensors"]);
}
