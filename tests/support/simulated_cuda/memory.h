// Memory of the simulated device: storage of the host, whose tensors are views of tensors on the host.

#pragma once

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/Tensor.h>
#include <c10/core/CPUAllocator.h>

#include <atomic>
#include <string>

using at::Tensor;

namespace {

const c10::Device DEVICE(c10::DeviceType::CUDA, 0);
std::atomic<int64_t> allocated{0}, peak{0}, limit{0};
void (*callback)(const char*) = nullptr;  // receives the name of a synchronizing operation
int mode = 0;                             // 0: allowed, 1: reported, 2: an error
bool gives_default_generator = false;

bool is_capturing();

void synchronize(const std::string& name) {
  TORCH_CHECK(!is_capturing(), "operation not permitted when stream is capturing (", name, ")");
  if (mode && callback) callback(name.c_str());
  TORCH_CHECK(mode != 2, "called a synchronizing CUDA operation (", name, ")");
}

void count(int64_t bytes) {
  const int64_t now = (allocated += bytes);
  if (bytes > 0 && limit > 0 && now > limit) {
    allocated -= bytes;
    TORCH_CHECK_WITH(OutOfMemoryError, false, "CUDA out of memory. Tried to allocate ", bytes, " bytes.");
  }
  for (int64_t before = peak; now > before && !peak.compare_exchange_weak(before, now);) {
  }
}

// Memory of the device is storage of the host that it keeps alive.
struct Kept {
  c10::Storage storage;
  int64_t bytes;
};

c10::DataPtr on_device(const c10::Storage& host) {
  const int64_t bytes = host.nbytes();
  count(bytes);
  auto release = [](void* context) {
    auto* kept = static_cast<Kept*>(context);
    count(-kept->bytes);
    delete kept;
  };
  return {host.mutable_data(), new Kept{host, bytes}, release, DEVICE};
}

struct Memory : c10::Allocator {
  c10::DataPtr allocate(size_t bytes) override {
    c10::Storage host(c10::Storage::use_byte_size_t(), bytes, c10::GetCPUAllocator()->allocate(bytes), nullptr, false);
    return on_device(host);
  }
  void copy_data(void* target, const void* source, size_t bytes) const override { memcpy(target, source, bytes); }
};
Memory memory;

struct Generator : c10::GeneratorImpl {
  at::Generator host = at::detail::createCPUGenerator(c10::default_rng_seed_val);
  Generator() : GeneratorImpl(DEVICE, c10::DispatchKeySet(c10::DispatchKey::CUDA)) {}
  void set_current_seed(uint64_t seed) override { host.set_current_seed(seed); }
  void set_offset(uint64_t) override {}
  uint64_t get_offset() const override { return 0; }
  uint64_t current_seed() const override { return host.current_seed(); }
  uint64_t seed() override { return host.seed(); }
  void set_state(const c10::TensorImpl& state) override { host.unsafeGetGeneratorImpl()->set_state(state); }
  c10::intrusive_ptr<c10::TensorImpl> get_state() const override { return host.unsafeGetGeneratorImpl()->get_state(); }
  Generator* clone_impl() const override {
    auto* copy = new Generator();
    copy->host = host.clone();
    return copy;
  }
};

const at::Generator& default_generator() {
  static const at::Generator generator = at::make_generator<Generator>();
  return generator;
}

// Exchange the states of the default generators of device and host.
void exchange_random_states() {
  auto* device = default_generator().unsafeGetGeneratorImpl();
  auto* host = at::detail::getDefaultCPUGenerator().unsafeGetGeneratorImpl();
  const Tensor of_device(device->get_state()), of_host(host->get_state());
  device->set_state(*of_host.unsafeGetTensorImpl());
  host->set_state(*of_device.unsafeGetTensorImpl());
}

// ``keys`` of a view are those of its base: views of other tensors are no inference tensors.
Tensor view(c10::Storage storage, const Tensor& like, c10::DispatchKeySet keys) {
  Tensor out = at::detail::make_tensor<c10::TensorImpl>(c10::TensorImpl::VIEW, std::move(storage), keys, like.dtype());
  auto* impl = out.unsafeGetTensorImpl();
  impl->set_sizes_and_strides(like.sizes(), like.strides(), like.storage_offset());
  if (like.is_conj()) impl->_set_conj(true);
  if (like.unsafeGetTensorImpl()->is_wrapped_number()) impl->set_wrapped_number(true);
  return out;
}

// A tensor on the host with the memory of a tensor on the device.
Tensor host_view(const Tensor& x) {
  auto release = [](void* context) { delete static_cast<c10::Storage*>(context); };
  c10::DataPtr data(x.storage().mutable_data(), new c10::Storage(x.storage()), release, c10::Device(c10::kCPU));
  const auto bytes = x.storage().nbytes();
  c10::Storage storage(c10::Storage::use_byte_size_t(), bytes, std::move(data), c10::GetCPUAllocator(), true);
  return view(std::move(storage), x, c10::DispatchKeySet(c10::DispatchKey::CPU));
}

Tensor device_view(const Tensor& host) {
  const auto bytes = host.storage().nbytes();
  c10::Storage storage(c10::Storage::use_byte_size_t(), bytes, on_device(host.storage()), &memory, true);
  const c10::DispatchKeySet keys(c10::DispatchKey::CUDA);
  Tensor out = at::detail::make_tensor<c10::TensorImpl>(std::move(storage), keys, host.dtype());
  out.unsafeGetTensorImpl()->set_sizes_and_strides(host.sizes(), host.strides(), host.storage_offset());
  return out;
}

}  // namespace
