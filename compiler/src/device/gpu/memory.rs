//! Device memory: buffers return to a free list when they are dropped.
//!
//! All work is recorded in order and runs in order on one queue, so a buffer may serve again as
//! soon as the work that uses it is recorded.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Smallest size of a buffer in bytes.
const GRAIN: u64 = 256;
/// Bytes that may lie idle beyond what was once in use.
const SLACK: u64 = 64 << 20;

/// Locks; what another thread left behind when it panicked is still sound here.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A run of f32 on a GPU; its memory is used again once it is dropped.
#[derive(Debug)]
pub struct Buffer {
    raw: wgpu::Buffer,
    len: usize,
    memory: Arc<Mutex<Memory>>,
}

impl Buffer {
    /// Number of elements.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Bytes of its elements.
    pub(super) fn bytes(&self) -> u64 {
        bytes_of(self.len)
    }

    pub(super) fn raw(&self) -> &wgpu::Buffer {
        &self.raw
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        lock(&self.memory).give_back(self.raw.clone());
    }
}

/// Bytes of so many f32.
pub(super) fn bytes_of(len: usize) -> u64 {
    len as u64 * size_of::<f32>() as u64
}

/// The free list and what is in use.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// Longest idle first.
    idle: VecDeque<wgpu::Buffer>,
    idle_bytes: u64,
    used_bytes: u64,
    peak_bytes: u64,
}

impl Memory {
    /// A buffer of so many bytes, with undefined contents, and whether it is a new one, which
    /// wgpu fills with zeros.
    pub(super) fn take(
        memory: &Arc<Mutex<Self>>,
        device: &wgpu::Device,
        len: usize,
        bytes: u64,
    ) -> (Buffer, bool) {
        let size = size_class(bytes);
        let mut this = lock(memory);
        this.used_bytes += size;
        this.peak_bytes = this.peak_bytes.max(this.used_bytes);
        let idle = this.idle.iter().rposition(|b| b.size() == size).and_then(|i| this.idle.remove(i));
        let new = idle.is_none();
        let raw = match idle {
            Some(raw) => {
                this.idle_bytes -= size;
                raw
            }
            None => device.create_buffer(&wgpu::BufferDescriptor {
                label: None,
                size,
                usage: wgpu::BufferUsages::STORAGE
                    | wgpu::BufferUsages::COPY_SRC
                    | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            }),
        };
        (Buffer { raw, len, memory: Arc::clone(memory) }, new)
    }

    fn give_back(&mut self, raw: wgpu::Buffer) {
        self.used_bytes -= raw.size();
        self.idle_bytes += raw.size();
        self.idle.push_back(raw);
        let limit = self.peak_bytes + self.peak_bytes / 4 + SLACK;
        while self.used_bytes + self.idle_bytes > limit {
            let Some(oldest) = self.idle.pop_front() else { break };
            self.idle_bytes -= oldest.size();
        }
    }

    /// Bytes in use and idle.
    #[cfg(test)]
    pub(super) fn total_bytes(&self) -> u64 {
        self.used_bytes + self.idle_bytes
    }
}

/// Sizes are rounded up by an eighth at most, so that buffers of nearly one size can stand in
/// for each other.
fn size_class(bytes: u64) -> u64 {
    bytes.max(1).next_multiple_of((bytes.next_power_of_two() / 8).max(GRAIN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_classes_waste_little() {
        for bytes in [0, 1, 4, 255, 256, 257, 5000, (1 << 20) + 1, (128 << 20) - 4, 128 << 20] {
            let class = size_class(bytes);
            assert!(class >= bytes && class.is_multiple_of(GRAIN), "{bytes} -> {class}");
            assert!(class <= (bytes + bytes / 4).max(GRAIN) + GRAIN, "{bytes} -> {class}");
        }
        assert_eq!(size_class(128 << 20), 128 << 20);
    }
}
