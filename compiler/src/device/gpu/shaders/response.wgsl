// Response normalization across channels.
struct Params {
    len: u32,
    columns: u32,
    channels: u32,
    size: u32,
    before: u32,
    scale: f32,
    beta: f32,
    bias: f32,
}

var<immediate> p: Params;
