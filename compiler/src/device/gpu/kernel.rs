//! The shaders, each in a file of its own, and what they bind.

/// One compute shader, with the constants it is specialised by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kernel {
    Gemm { tile: u32, a_transposed: bool, b_transposed: bool },
    GemmReduce,
    Im2col,
    Col2im,
    Depthwise,
    DepthwiseInputGradient,
    DepthwiseWeightGradient,
    Flatten,
    AddBias,
    RowSums,
    SquaredDistance,
    Activation,
    ActivationBackward,
    MaxPool,
    MaxPoolBackward,
    AvgPool,
    AvgPoolBackward,
    Moments,
    MergeMoments,
    BatchNorm,
    BatchNormSums,
    BatchNormBackward,
    Lrn,
    LrnBackward,
    Axpby,
    Mul,
    SoftmaxCrossEntropy,
    UpdateSgd,
    UpdateAdam,
    UpdateRmsProp,
    AddSignedParts,
    MultiplicativeUpdate,
}

/// The source of a shader behind those of the files it builds on.
macro_rules! source {
    ($($file:literal),+) => {
        concat!(include_str!("shaders/common.wgsl"), $(include_str!(concat!("shaders/", $file, ".wgsl"))),+)
    };
}

impl Kernel {
    /// Source, number of buffers it only reads and number it writes; those come in this order.
    pub(super) const fn parts(self) -> (&'static str, usize, usize) {
        match self {
            Kernel::Gemm { .. } => (source!("gemm"), 2, 1),
            Kernel::GemmReduce => (source!("gemm_reduce"), 1, 1),
            Kernel::Im2col => (source!("window", "im2col"), 1, 1),
            Kernel::Col2im => (source!("window", "col2im"), 1, 1),
            Kernel::Depthwise => (source!("window", "depthwise"), 2, 1),
            Kernel::DepthwiseInputGradient => (source!("window", "depthwise_input_gradient"), 2, 1),
            Kernel::DepthwiseWeightGradient => (source!("window", "sum", "depthwise_weight_gradient"), 2, 1),
            Kernel::Flatten => (source!("flatten"), 1, 1),
            Kernel::AddBias => (source!("add_bias"), 1, 1),
            Kernel::RowSums => (source!("sum", "row_sums"), 1, 1),
            Kernel::SquaredDistance => (source!("sum", "squared_distance"), 2, 1),
            Kernel::Activation => (source!("activation"), 1, 1),
            Kernel::ActivationBackward => (source!("activation_backward"), 2, 1),
            Kernel::MaxPool => (source!("window", "max_pool"), 1, 2),
            Kernel::MaxPoolBackward => (source!("window", "max_pool_backward"), 2, 1),
            Kernel::AvgPool => (source!("window", "avg_pool"), 1, 1),
            Kernel::AvgPoolBackward => (source!("window", "avg_pool_backward"), 1, 1),
            Kernel::Moments => (source!("sum", "moments"), 1, 2),
            Kernel::MergeMoments => (source!("sum", "merge_moments"), 3, 2),
            Kernel::BatchNorm => (source!("batch_norm"), 5, 1),
            Kernel::BatchNormSums => (source!("sum", "batch_norm_sums"), 4, 2),
            Kernel::BatchNormBackward => (source!("batch_norm_backward"), 7, 1),
            Kernel::Lrn => (source!("response", "lrn"), 1, 2),
            Kernel::LrnBackward => (source!("response", "lrn_backward"), 4, 1),
            Kernel::Axpby => (source!("axpby"), 1, 1),
            Kernel::Mul => (source!("mul"), 1, 1),
            Kernel::SoftmaxCrossEntropy => (source!("sum", "softmax_cross_entropy"), 3, 2),
            Kernel::UpdateSgd => (source!("update", "update_sgd"), 2, 2),
            Kernel::UpdateAdam => (source!("update", "update_adam"), 2, 3),
            Kernel::UpdateRmsProp => (source!("update", "update_rmsprop"), 2, 2),
            Kernel::AddSignedParts => (source!("add_signed_parts"), 1, 2),
            Kernel::MultiplicativeUpdate => (source!("multiplicative_update"), 2, 1),
        }
    }

    /// Pipeline constants.
    fn constants(self) -> Vec<(&'static str, f64)> {
        match self {
            Kernel::Gemm { tile, a_transposed, b_transposed } => vec![
                ("TILE", f64::from(tile)),
                ("A_TRANSPOSED", f64::from(u8::from(a_transposed))),
                ("B_TRANSPOSED", f64::from(u8::from(b_transposed))),
            ],
            _ => Vec::new(),
        }
    }

    /// Compiles it. What the driver rejects goes to the device's error handler.
    pub(super) fn compile(self, device: &wgpu::Device) -> Pipeline {
        let (source, reads, writes) = self.parts();
        debug_assert!(
            reads + writes <= MOST_BUFFERS as usize,
            "{self:?} is for fewer adapters than `lacks` says"
        );
        let label = format!("{self:?}");
        let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: Some(&label),
            source: wgpu::ShaderSource::Wgsl(source.into()),
        });
        let entries: Vec<_> = (0..reads + writes)
            .zip(0..)
            .map(|(i, binding)| wgpu::BindGroupLayoutEntry {
                binding,
                visibility: wgpu::ShaderStages::COMPUTE,
                ty: wgpu::BindingType::Buffer {
                    ty: wgpu::BufferBindingType::Storage { read_only: i < reads },
                    has_dynamic_offset: false,
                    min_binding_size: None,
                },
                count: None,
            })
            .collect();
        let bindings = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: Some(&label),
            entries: &entries,
        });
        let layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some(&label),
            bind_group_layouts: &[Some(&bindings)],
            immediate_size: IMMEDIATES,
        });
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(&label),
            layout: Some(&layout),
            module: &module,
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions {
                constants: &self.constants(),
                // Every shader writes its workgroup memory before it reads it.
                zero_initialize_workgroup_memory: false,
            },
            cache: None,
        });
        Pipeline { pipeline, bindings }
    }
}

/// Most buffers that a shader reads and writes.
pub(super) const MOST_BUFFERS: u32 = 8;

/// Bytes of the largest parameter block of a shader.
pub(super) const IMMEDIATES: u32 = 92;

/// A compiled shader.
#[derive(Debug)]
pub(super) struct Pipeline {
    pub(super) pipeline: wgpu::ComputePipeline,
    pub(super) bindings: wgpu::BindGroupLayout,
}

/// Four bytes of a parameter block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Word(pub(super) [u8; 4]);

impl From<usize> for Word {
    fn from(x: usize) -> Self {
        let x = u32::try_from(x).unwrap_or_else(|_| panic!("{x} exceeds the 32-bit indices of a shader"));
        x.into()
    }
}

impl From<u32> for Word {
    fn from(x: u32) -> Self {
        Word(x.to_ne_bytes())
    }
}

impl From<f32> for Word {
    fn from(x: f32) -> Self {
        Word(x.to_ne_bytes())
    }
}

impl From<bool> for Word {
    fn from(x: bool) -> Self {
        u32::from(x).into()
    }
}
