use super::*;

/// The error of a description whose file has a weight `d.weight [1, 2]`.
fn error(text: &str) -> GraphError {
    let weight = Tensor { name: "d.weight".into(), shape: Vec::from([1, 2]), data: Vec::from([1.0, 2.0]) };
    let error = from_toml(text, &Tensors::from(&[weight][..])).unwrap_err();
    assert!(!error.to_string().contains('\n'), "{error}");
    error
}

/// The message about a field of a node.
fn field(node: &str) -> String {
    match error(&format!("input.shape = [2]\n[[node]]\nname = \"d\"\n{node}")) {
        GraphError::Field { node, message, .. } if node == "d" => message,
        other => panic!("{other:?}"),
    }
}

#[test]
fn errors_in_the_document() {
    assert!(matches!(error("input.shape = [2\n"), GraphError::Toml { .. }));
    assert!(matches!(error("\n\nnodes = 3"), GraphError::Toml { line: 3, .. }));
    assert!(matches!(error("[input]\nshap = [3]"), GraphError::Toml { line: 2, .. }));
    assert!(matches!(error("[preprocess]\nmean = [1, 2, 3, 4, 5]"), GraphError::Toml { .. }));
    assert!(matches!(error("[preprocess]\norder = \"grb\""), GraphError::Toml { .. }));
    assert!(matches!(error("[input]\nshape = [4294967296]"), GraphError::Toml { .. }));
    assert_eq!(error(""), GraphError::NoInput);
    assert_eq!(error("input.shape = [1, 2]"), GraphError::InputShape(Vec::from([1, 2])));
    assert_eq!(error("input.shape = [2]"), GraphError::Network(NetworkError::Empty));
    assert_eq!(error("input.shape = [2]\noutput = \"x\""), GraphError::UnknownOutput("x".into()));
    assert_eq!(error("name = \"a\\n\"\ninput.shape = [2]"), GraphError::Name("a\n".into()));
    let bad_scale = error("input.shape = [2]\npreprocess.scale = nan\n[[node]]\nop = \"relu\"");
    assert_eq!(bad_scale, GraphError::Network(NetworkError::Preprocess { channels: 2 }));
}

#[test]
fn errors_in_nodes() {
    let node = |text: &str| error(&format!("input.shape = [2]\n[[node]]\nname = \"d\"\n{text}"));
    let name = || String::from("d");
    assert_eq!(node("op = \"gelu\""), GraphError::UnknownOp { node: name(), op: "gelu".into() });
    let ahead = node("op = \"relu\"\ninputs = [\"e\"]\n[[node]]\nname = \"e\"\nop = \"relu\"");
    assert_eq!(ahead, GraphError::UnknownInput { node: name(), input: "e".into() });
    let twice = node("op = \"relu\"\n[[node]]\nname = \"d\"\nop = \"relu\"");
    assert_eq!(twice, GraphError::Network(NetworkError::DuplicateName(name())));
    let missing = node("op = \"dense\"\nweight = \"no\"");
    assert_eq!(missing, GraphError::MissingTensor { node: name(), tensor: "no".into() });
    let rank = GraphError::WeightShape {
        node: name(),
        op: "conv2d",
        tensor: "d.weight".into(),
        found: Vec::from([1, 2]),
        expected: "[out, in / groups, rows, columns]",
    };
    assert_eq!(node("op = \"conv2d\""), rank);
    let chain = NetworkError::TensorShape {
        tensor: "d.weight".into(),
        node: name(),
        found: Vec::from([1, 2]),
        expected: Vec::from([4_000_000_000, 2]),
    };
    assert_eq!(node("op = \"dense\"\nout_features = 4000000000"), GraphError::Network(chain));
    assert!(matches!(node("op = 3"), GraphError::Toml { .. }));
}

#[test]
fn errors_in_fields() {
    assert!(field("op = \"dense\"\nstride = 2").contains("unknown field `stride`"));
    assert!(field("op = \"relu\"\nalpha = 0.1").contains("unknown field `alpha`"));
    assert!(field("op = \"max_pool\"").contains("missing field `kernel`"));
    assert!(field("op = \"max_pool\"\nkernel = 65536").contains("[rows, columns]"));
    assert!(field("op = \"max_pool\"\nkernel = 2\npad = [1]").contains("[top, left, bottom, right]"));
    assert!(field("op = \"dense\"\nbias = 3").contains("true or false"));
    assert!(field("op = \"maxout\"\npieces = \"2\"").contains("invalid type"));
    assert!(field("op = \"leaky_relu\"\nalpha = inf").contains("finite"));
    assert!(field("op = \"lrn\"\nsize = 3\nbeta = 1e300").contains("finite"));
}
