//! Records work for the device's queue: many dispatches share one compute pass and one
//! submission.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex},
};

use super::{
    adapter::largest_buffer,
    kernel::{Kernel, Pipeline, Word},
    memory::{Buffer, Memory, bytes_of, lock},
};
use crate::device::DeviceError;

/// Dispatches of a submission: enough to hide its cost, few enough that none runs for
/// seconds, which some drivers take for a hang.
const DISPATCHES: usize = 128;
/// Bytes on their way to the device in a submission.
const STAGED: u64 = 64 << 20;
/// Submissions that may wait for the device.
const IN_FLIGHT: usize = 3;
/// Workgroups in a row of a dispatch; `common.wgsl` states it as well.
const GROUPS_X: u32 = 32_768;
/// Workgroups along any axis of a dispatch (WebGPU's guaranteed limit).
const MAX_GROUPS: usize = 65_535;

/// An open device and what is recorded for it.
#[derive(Debug)]
pub(super) struct Recorder {
    name: String,
    device: wgpu::Device,
    queue: wgpu::Queue,
    largest_buffer: u64,
    /// The first thing that went wrong.
    failure: Arc<Mutex<Option<String>>>,
    memory: Arc<Mutex<Memory>>,
    open: Mutex<Open>,
    pipelines: Mutex<HashMap<Kernel, Arc<Pipeline>>>,
}

/// What was recorded since the last submission.
#[derive(Debug, Default)]
struct Open {
    // Dropped, that is ended, before its encoder.
    pass: Option<wgpu::ComputePass<'static>>,
    encoder: Option<wgpu::CommandEncoder>,
    dispatches: usize,
    staged: u64,
    in_flight: VecDeque<wgpu::SubmissionIndex>,
}

impl Open {
    fn encoder(&mut self, device: &wgpu::Device) -> &mut wgpu::CommandEncoder {
        self.encoder.get_or_insert_with(|| device.create_command_encoder(&Default::default()))
    }

    /// The encoder between compute passes, for copies.
    fn between_passes(&mut self, device: &wgpu::Device) -> &mut wgpu::CommandEncoder {
        self.pass = None;
        self.encoder(device)
    }

    fn pass(&mut self, device: &wgpu::Device) -> &mut wgpu::ComputePass<'static> {
        let Open { pass, encoder, .. } = self;
        pass.get_or_insert_with(|| {
            encoder
                .get_or_insert_with(|| device.create_command_encoder(&Default::default()))
                .begin_compute_pass(&Default::default())
                .forget_lifetime()
        })
    }
}

impl Recorder {
    pub(super) fn new(name: String, device: wgpu::Device, queue: wgpu::Queue) -> Self {
        let failure = Arc::new(Mutex::new(None));
        let first = Arc::clone(&failure);
        device.on_uncaptured_error(Arc::new(move |e: wgpu::Error| keep_first(&first, e.to_string())));
        let first = Arc::clone(&failure);
        device.set_device_lost_callback(move |_, reason| {
            keep_first(&first, format!("the device was lost: {reason}"));
        });
        Self {
            name,
            largest_buffer: largest_buffer(&device.limits()),
            device,
            queue,
            failure,
            memory: Arc::default(),
            open: Mutex::default(),
            pipelines: Mutex::default(),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Bytes that all buffers take, idle ones included.
    #[cfg(test)]
    pub(super) fn memory_bytes(&self) -> u64 {
        lock(&self.memory).total_bytes()
    }

    /// Loses the device.
    #[cfg(test)]
    pub(super) fn lose(&self) {
        self.device.destroy();
    }

    fn failed(&self) -> Option<DeviceError> {
        let reason = lock(&self.failure).clone()?;
        Some(DeviceError::Failed { device: self.name.clone(), reason })
    }

    /// Notes what the next download reports.
    pub(super) fn fail(&self, reason: String) {
        keep_first(&self.failure, reason);
    }

    /// A buffer with undefined contents.
    pub(super) fn scratch(&self, len: usize) -> Buffer {
        self.take(len).0
    }

    pub(super) fn zeros(&self, len: usize) -> Buffer {
        let (buffer, new) = self.take(len);
        if !new && len > 0 && self.failed().is_none() {
            let mut open = lock(&self.open);
            open.between_passes(&self.device).clear_buffer(buffer.raw(), 0, Some(buffer.bytes()));
        }
        buffer
    }

    fn take(&self, len: usize) -> (Buffer, bool) {
        if bytes_of(len) > self.largest_buffer {
            self.fail(format!(
                "a buffer of {} bytes exceeds the adapter's limit of {}; use the CPU",
                bytes_of(len),
                self.largest_buffer
            ));
        }
        if self.failed().is_some() {
            // Nothing runs on a failed device: any buffer will do.
            return Memory::take(&self.memory, &self.device, len, 0);
        }
        Memory::take(&self.memory, &self.device, len, bytes_of(len))
    }

    /// Overwrites the start of a buffer, in order with all other work.
    pub(super) fn write(&self, data: &[f32], to: &Buffer) {
        assert!(data.len() <= to.len(), "{} values for a buffer of {}", data.len(), to.len());
        if data.is_empty() || self.failed().is_some() {
            return;
        }
        let bytes = bytes_of(data.len());
        let staging = self.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("upload"),
            size: bytes,
            usage: wgpu::BufferUsages::COPY_SRC,
            mapped_at_creation: true,
        });
        match staging.get_mapped_range_mut(..) {
            Ok(mut view) => view.copy_from_slice(bytemuck::cast_slice(data)),
            Err(e) => return self.fail(e.to_string()),
        }
        staging.unmap();
        let mut open = lock(&self.open);
        open.between_passes(&self.device).copy_buffer_to_buffer(&staging, 0, to.raw(), 0, bytes);
        open.staged += bytes;
        if open.staged >= STAGED {
            self.submit(&mut open);
        }
    }

    pub(super) fn copy(&self, from: &Buffer, from_at: usize, to: &Buffer, to_at: usize, len: usize) {
        let within = |at: usize, buffer: &Buffer| at.checked_add(len).is_some_and(|end| end <= buffer.len());
        assert!(within(from_at, from), "{from_at} + {len} in a buffer of {}", from.len());
        assert!(within(to_at, to), "{to_at} + {len} in a buffer of {}", to.len());
        if len == 0 || self.failed().is_some() {
            return;
        }
        let mut open = lock(&self.open);
        open.between_passes(&self.device).copy_buffer_to_buffer(
            from.raw(),
            bytes_of(from_at),
            to.raw(),
            bytes_of(to_at),
            bytes_of(len),
        );
    }

    /// Records one dispatch of a shader that takes an item an invocation, in workgroups of 256.
    pub(super) fn run(&self, kernel: Kernel, buffers: &[&Buffer], items: usize, params: &[Word]) {
        self.run_groups(kernel, buffers, [items.div_ceil(256), 1], params);
    }

    /// Records one dispatch of `groups[0]` workgroups, `groups[1]` times along z. `buffers` are
    /// those that the shader reads, then those that it writes.
    pub(super) fn run_groups(
        &self,
        kernel: Kernel,
        buffers: &[&Buffer],
        groups: [usize; 2],
        params: &[Word],
    ) {
        let [groups, layers] = groups;
        let rows = groups.div_ceil(GROUPS_X as usize);
        if groups * layers == 0 || self.failed().is_some() {
            return;
        }
        if rows > MAX_GROUPS || layers > MAX_GROUPS {
            return self.fail(format!("{kernel:?} is too large: {groups} x {layers} workgroups"));
        }
        let pipeline = self.pipeline(kernel);
        let entries: Vec<_> = buffers
            .iter()
            .zip(0..)
            .map(|(buffer, binding)| wgpu::BindGroupEntry {
                binding,
                resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                    buffer: buffer.raw(),
                    offset: 0,
                    size: wgpu::BufferSize::new(buffer.bytes()),
                }),
            })
            .collect();
        let bindings = self.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: None,
            layout: &pipeline.bindings,
            entries: &entries,
        });
        let params: Vec<u8> = params.iter().flat_map(|word| word.0).collect();

        let mut open = lock(&self.open);
        let pass = open.pass(&self.device);
        pass.set_pipeline(&pipeline.pipeline);
        pass.set_bind_group(0, &bindings, &[]);
        pass.set_immediates(0, &params);
        pass.dispatch_workgroups(groups.min(GROUPS_X as usize) as u32, rows as u32, layers as u32);
        open.dispatches += 1;
        if open.dispatches >= DISPATCHES {
            self.submit(&mut open);
        }
    }

    fn pipeline(&self, kernel: Kernel) -> Arc<Pipeline> {
        let mut pipelines = lock(&self.pipelines);
        Arc::clone(pipelines.entry(kernel).or_insert_with(|| Arc::new(kernel.compile(&self.device))))
    }

    /// Hands over what is recorded, and waits where the device has fallen behind.
    fn submit(&self, open: &mut Open) {
        open.pass = None;
        (open.dispatches, open.staged) = (0, 0);
        let Some(encoder) = open.encoder.take() else { return };
        open.in_flight.push_back(self.queue.submit([encoder.finish()]));
        if open.in_flight.len() > IN_FLIGHT {
            self.wait(open.in_flight.pop_front());
        }
    }

    /// Waits for a submission, or for all.
    fn wait(&self, submission_index: Option<wgpu::SubmissionIndex>) {
        if let Err(e) = self.device.poll(wgpu::PollType::Wait { submission_index, timeout: None }) {
            self.fail(e.to_string());
        }
    }

    /// Waits for all work and reads a buffer back.
    pub(super) fn download(&self, from: &Buffer) -> Result<Vec<f32>, DeviceError> {
        let mut open = lock(&self.open);
        if let Some(e) = self.failed() {
            return Err(e);
        }
        // A buffer of no elements still has memory; its read waits for all work like any other.
        let bytes = from.bytes().max(size_of::<f32>() as u64);
        let staging = self.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("download"),
            size: bytes,
            usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        open.between_passes(&self.device).copy_buffer_to_buffer(from.raw(), 0, &staging, 0, bytes);
        self.submit(&mut open);
        let failure = Arc::clone(&self.failure);
        staging.map_async(wgpu::MapMode::Read, .., move |mapped| {
            if let Err(e) = mapped {
                keep_first(&failure, e.to_string());
            }
        });
        open.in_flight.clear();
        self.wait(None);
        if let Some(e) = self.failed() {
            return Err(e);
        }
        match staging.get_mapped_range(..) {
            Ok(view) => {
                let mut data = vec![0.0; from.len()];
                bytemuck::cast_slice_mut(&mut data).copy_from_slice(&view[..from.bytes() as usize]);
                Ok(data)
            }
            Err(e) => Err(DeviceError::Failed { device: self.name.clone(), reason: e.to_string() }),
        }
    }
}

fn keep_first(failure: &Mutex<Option<String>>, reason: String) {
    lock(failure).get_or_insert(reason);
}
