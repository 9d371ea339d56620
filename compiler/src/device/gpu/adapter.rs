//! Which adapters there are, and which of them to use.

use wgpu::{Backends, DeviceType};

use crate::device::DeviceError;

/// Which kind of adapter is acceptable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection {
    /// A real GPU.
    Hardware,
    /// A software rasteriser, such as Mesa's llvmpipe: slow, for tests on machines without a GPU.
    Software,
    /// A real GPU if there is one, else a software rasteriser.
    Any,
}

/// An adapter of this machine, through one of its interfaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adapter {
    /// Its name.
    pub name: String,
    /// Interface: `vulkan`, `metal` or `dx12`.
    pub backend: &'static str,
    /// `discrete`, `integrated`, `virtual`, `software` or `other`.
    pub kind: &'static str,
    /// Driver and its version.
    pub driver: String,
    /// Bytes of the largest tensor.
    pub max_tensor_bytes: u64,
    /// What it lacks, if it cannot be used.
    pub lacks: Option<&'static str>,
}

/// All adapters, best first.
pub fn list() -> Vec<Adapter> {
    enumerate().iter().map(describe).collect()
}

fn describe(adapter: &wgpu::Adapter) -> Adapter {
    let (info, limits) = (adapter.get_info(), adapter.limits());
    Adapter {
        backend: info.backend.to_str(),
        kind: match info.device_type {
            DeviceType::DiscreteGpu => "discrete",
            DeviceType::IntegratedGpu => "integrated",
            DeviceType::VirtualGpu => "virtual",
            DeviceType::Cpu => "software",
            DeviceType::Other => "other",
        },
        driver: format!("{} {}", info.driver, info.driver_info).trim().to_owned(),
        max_tensor_bytes: largest_buffer(&limits),
        lacks: lacks(&limits, adapter.features(), adapter.get_downlevel_capabilities().flags),
        name: info.name,
    }
}

/// Bytes of the largest buffer that a shader can see.
pub(super) fn largest_buffer(limits: &wgpu::Limits) -> u64 {
    limits.max_storage_buffer_binding_size.min(limits.max_buffer_size)
}

/// The first thing that the shaders need and the adapter does not have.
fn lacks(
    limits: &wgpu::Limits,
    features: wgpu::Features,
    flags: wgpu::DownlevelFlags,
) -> Option<&'static str> {
    if !flags.contains(wgpu::DownlevelFlags::COMPUTE_SHADERS) {
        Some("compute shaders")
    } else if !features.contains(wgpu::Features::IMMEDIATES)
        || limits.max_immediate_size < super::kernel::IMMEDIATES
    {
        Some("immediate shader parameters")
    } else if limits.max_compute_invocations_per_workgroup < 256
        || limits.max_compute_workgroup_size_x < 256
        || limits.max_compute_workgroup_storage_size < 16 << 10
        || limits.max_compute_workgroups_per_dimension < 65_535
    {
        Some("large enough workgroups")
    } else if limits.max_storage_buffers_per_shader_stage < super::kernel::MOST_BUFFERS {
        Some("eight storage buffers a shader")
    } else {
        None
    }
}

/// Without OpenGL: devices that know nothing else are too old, and where there is no display
/// its loader prints to the terminal.
fn enumerate() -> Vec<wgpu::Adapter> {
    let backends = Backends::PRIMARY;
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
        backends,
        ..wgpu::InstanceDescriptor::new_without_display_handle()
    });
    let mut adapters = pollster::block_on(instance.enumerate_adapters(backends));
    adapters.sort_by_key(|adapter| rank(adapter.get_info().device_type));
    adapters
}

/// Lower is better.
fn rank(device: DeviceType) -> u8 {
    match device {
        DeviceType::DiscreteGpu => 0,
        DeviceType::IntegratedGpu => 1,
        DeviceType::VirtualGpu => 2,
        DeviceType::Other => 3,
        DeviceType::Cpu => 4,
    }
}

fn acceptable(selection: Selection, device: DeviceType) -> bool {
    match selection {
        Selection::Hardware => device != DeviceType::Cpu,
        Selection::Software => device == DeviceType::Cpu,
        Selection::Any => true,
    }
}

/// The best acceptable adapter.
pub(super) fn choose(selection: Selection) -> Result<wgpu::Adapter, DeviceError> {
    let adapters = enumerate();
    let usable =
        |a: &wgpu::Adapter| acceptable(selection, a.get_info().device_type) && describe(a).lacks.is_none();
    if let Some(best) = adapters.iter().find(|a| usable(a)) {
        return Ok(best.clone());
    }
    let found: Vec<_> = adapters.iter().map(describe).collect();
    Err(DeviceError::NoAdapter(nothing_found(selection, &found)))
}

fn nothing_found(selection: Selection, found: &[Adapter]) -> String {
    let (kind, remedy) = match selection {
        Selection::Hardware => ("GPU", "install its Vulkan driver or use the CPU"),
        Selection::Software | Selection::Any => (
            "GPU or software rasteriser",
            "on Debian or Ubuntu, `apt-get install mesa-vulkan-drivers libvulkan1` provides a software one",
        ),
    };
    let found: Vec<_> = found
        .iter()
        .map(|a| match a.lacks {
            Some(lacks) => format!("{} ({}, {}: lacks {lacks})", a.name, a.backend, a.kind),
            None => format!("{} ({}, {})", a.name, a.backend, a.kind),
        })
        .collect();
    let found = if found.is_empty() { "none".to_owned() } else { found.join(", ") };
    format!("no usable {kind} (adapters found: {found}): {remedy}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn software_only_where_it_is_asked_for() {
        for device in
            [DeviceType::DiscreteGpu, DeviceType::IntegratedGpu, DeviceType::VirtualGpu, DeviceType::Other]
        {
            assert!(acceptable(Selection::Hardware, device));
            assert!(!acceptable(Selection::Software, device));
            assert!(rank(device) < rank(DeviceType::Cpu));
        }
        assert!(!acceptable(Selection::Hardware, DeviceType::Cpu));
        assert!(acceptable(Selection::Software, DeviceType::Cpu));
        assert!(acceptable(Selection::Any, DeviceType::Cpu));
    }

    #[test]
    fn what_an_adapter_lacks_is_named() {
        let enough = wgpu::Limits { max_immediate_size: 128, ..wgpu::Limits::default() };
        let (immediates, compute) = (wgpu::Features::IMMEDIATES, wgpu::DownlevelFlags::COMPUTE_SHADERS);
        assert_eq!(lacks(&enough, immediates, compute), None);
        let nothing = wgpu::DownlevelFlags::empty();
        assert_eq!(lacks(&enough, immediates, nothing), Some("compute shaders"));
        let few = wgpu::Limits { max_immediate_size: 64, ..enough.clone() };
        assert_eq!(lacks(&few, immediates, compute), Some("immediate shader parameters"));
        let narrow = wgpu::Limits { max_compute_invocations_per_workgroup: 128, ..enough.clone() };
        assert_eq!(lacks(&narrow, immediates, compute), Some("large enough workgroups"));
        let few = wgpu::Limits { max_storage_buffers_per_shader_stage: 7, ..enough };
        assert_eq!(lacks(&few, immediates, compute), Some("eight storage buffers a shader"));
    }

    #[test]
    fn no_adapter_says_what_was_there_and_what_to_install() {
        let llvmpipe = Adapter {
            name: "llvmpipe".into(),
            backend: "vulkan",
            kind: "software",
            driver: String::new(),
            max_tensor_bytes: 0,
            lacks: None,
        };
        assert_eq!(
            nothing_found(Selection::Hardware, &[llvmpipe]),
            "no usable GPU (adapters found: llvmpipe (vulkan, software)): \
             install its Vulkan driver or use the CPU"
        );
        let message = nothing_found(Selection::Software, &[]);
        assert!(message.contains("adapters found: none") && message.contains("mesa-vulkan-drivers"));
    }
}
