// A CUDA device for CPU builds of PyTorch: tensors on cuda:0 whose memory is that of the host and whose operators run
// on the CPU. Operators on tensors of both devices fail, and synchronizing ones are reported, as on a real device.

#include <ATen/EmptyTensor.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <torch/library.h>

#include "recording.h"

namespace {

struct Hooks : at::CUDAHooksInterface {
  void init() const override {}
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return true; }
  bool hasCUDA() const override { return true; }
  bool hasPrimaryContext(c10::DeviceIndex) const override { return true; }
  const at::Generator& getDefaultGenerator(c10::DeviceIndex = -1) const override { return default_generator(); }
  at::Generator getNewGenerator(c10::DeviceIndex = -1) const override {
    return gives_default_generator ? default_generator() : at::make_generator<Generator>();
  }
  c10::Device getDeviceFromPtr(void*) const override { return DEVICE; }
  c10::DeviceIndex current_device() const override { return 0; }
  c10::DeviceIndex deviceCount() const override { return 1; }
  void setCurrentDevice(c10::DeviceIndex) const override {}
  c10::DeviceIndex getCurrentDevice() const override { return 0; }
  c10::DeviceIndex exchangeDevice(c10::DeviceIndex) const override { return 0; }
  c10::DeviceIndex maybeExchangeDevice(c10::DeviceIndex) const override { return 0; }
  at::Allocator* getPinnedMemoryAllocator() const override { return c10::GetCPUAllocator(); }
  at::Allocator* getCUDADeviceAllocator() const override { return &memory; }
  int getNumGPUs() const override { return 1; }
  void deviceSynchronize(c10::DeviceIndex) const override {}
};

struct Guard final : c10::impl::DeviceGuardImplInterface {
  static constexpr c10::DeviceType static_type = c10::DeviceType::CUDA;
  const c10::Stream stream{c10::Stream::DEFAULT, DEVICE};
  Guard() = default;
  explicit Guard(c10::DeviceType) {}
  c10::DeviceType type() const override { return static_type; }
  c10::Device exchangeDevice(c10::Device) const override { return DEVICE; }
  c10::Device getDevice() const override { return DEVICE; }
  void setDevice(c10::Device) const override {}
  void uncheckedSetDevice(c10::Device) const noexcept override {}
  c10::Stream getStream(c10::Device) const noexcept override { return stream; }
  c10::Stream getDefaultStream(c10::Device) const override { return stream; }
  c10::Stream exchangeStream(c10::Stream) const noexcept override { return stream; }
  c10::DeviceIndex deviceCount() const noexcept override { return 1; }
  void record(void**, const c10::Stream&, const c10::DeviceIndex, const c10::EventFlag) const override {}
  void block(void*, const c10::Stream&) const override {}
  bool queryEvent(void*) const override { return true; }
  void destroyEvent(void*, const c10::DeviceIndex) const noexcept override {}
  bool queryStream(const c10::Stream&) const override { return true; }
  void synchronizeStream(const c10::Stream&) const override {}
  void synchronizeEvent(void*) const override {}
  void synchronizeDevice(const c10::DeviceIndex) const override {}
  void recordDataPtrOnStream(const c10::DataPtr&, const c10::Stream&) const override {}
};

// One call of an operator with the arguments and results on the host.
struct Call {
  const std::string name;
  std::vector<std::pair<Tensor, Tensor>> pairs;  // on the device, on the host

  Tensor argument(const Tensor& x) {
    if (!x.defined()) return x;
    if (!x.is_cuda()) {
      if (x.dim() == 0) return x;  // kernels take scalars of the host
      if (name.rfind("aten::index", 0) == 0 || name.rfind("aten::_index_put", 0) == 0) {
        synchronize(name + " with indices on the CPU");
        return x;
      }
      TORCH_CHECK(false, name, ": expected all tensors to be on the same device, but found cuda:0 and cpu");
    }
    for (const auto& pair : pairs)
      if (pair.first.is_same(x)) return pair.second;
    pairs.emplace_back(x, host_view(x));
    return pairs.back().second;
  }

  // Pass on new sizes and memory of tensors that the operator resized.
  void finish() {
    for (const auto& [device, host] : pairs) {
      auto* storage = device.storage().unsafeGetStorageImpl();
      if (host.storage().data() != device.storage().data() || host.storage().nbytes() != storage->nbytes()) {
        storage->set_data_ptr_noswap(on_device(host.storage()));
        storage->set_nbytes(host.storage().nbytes());
      }
      device.unsafeGetTensorImpl()->set_sizes_and_strides(host.sizes(), host.strides(), host.storage_offset());
    }
  }

  Tensor result(const Tensor& x) {
    if (!x.defined()) return x;
    for (const auto& [device, host] : pairs) {
      if (host.is_same(x)) return device;
      if (host.storage().is_alias_of(x.storage())) return view(device.storage(), x, device.key_set());
    }
    return device_view(x);
  }
};

bool has_mask(const c10::IValue& indices) {
  for (const c10::IValue& index : indices.toListRef())
    if (index.isTensor() && index.toTensor().defined() && index.toTensor().scalar_type() == at::kBool) return true;
  return false;
}

// Report an operator that waits for the device on a real one.
void check_synchronization(const std::string& name, const std::string& overload, c10::ArrayRef<c10::IValue> arguments) {
  static const std::set<std::string> ALWAYS = {
      "nonzero",  "masked_select", "_unique",      "_unique2",    "unique_dim",  "unique_consecutive", "equal",
      "bincount", "multinomial",   "_linalg_eigh", "_linalg_svd", "linalg_lstsq", "_linalg_eigvals",   "linalg_eig"};
  const std::string op = name.substr(name.find("::") + 2);
  const bool repeats = op == "repeat_interleave" && arguments.back().isNone();
  const bool checks_std = op == "normal" && (overload == "Tensor_Tensor" || overload == "float_Tensor");
  const bool gets = (op == "index" || op == "_unsafe_index") && has_mask(arguments[1]);
  const bool puts = op == "_index_put_impl_" && has_mask(arguments[1]) && arguments[2].toTensor().numel() != 1;
  if (ALWAYS.count(op) || repeats || checks_std || gets || puts) synchronize(name);
}

Values execute(const c10::OperatorHandle& op, Values arguments) {
  const auto& schema = op.schema();
  Call call{schema.name(), {}};
  for (size_t i = 0; i < arguments.size(); ++i) {
    c10::IValue& value = arguments[i];
    replace(value, [&](const Tensor& x) { return call.argument(x); });
    if (value.isDevice()) value = c10::Device(c10::kCPU);
    if (schema.arguments()[i].name() == "generator") {
      const at::Generator given = value.isGenerator() ? value.toGenerator() : default_generator();
      TORCH_CHECK(given.device().is_cuda(), call.name, ": expected a 'cuda' device type for generator but found 'cpu'");
      TORCH_CHECK(!capture || given == default_generator(), call.name, ": the generator is not registered with the graph");
      value = static_cast<Generator*>(given.unsafeGetGeneratorImpl())->host;
    }
  }
  const bool dropout = call.name == "aten::native_dropout";  // without an argument for a generator
  if (dropout) exchange_random_states();
  op.redispatchBoxed(c10::DispatchKeySet(c10::DispatchKey::CPU), &arguments);
  if (dropout) exchange_random_states();
  call.finish();
  for (c10::IValue& value : arguments) replace(value, [&](const Tensor& x) { return call.result(x); });
  return arguments;
}

void run_on_host(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  const auto& schema = op.schema();
  const auto first = stack->end() - schema.arguments().size();
  Values values(first, stack->end());
  stack->erase(first, stack->end());
  check_synchronization(schema.name(), schema.overload_name(), values);
  const auto run = [op](Values arguments) { return execute(op, std::move(arguments)); };
  for (c10::IValue& value : capture ? record(values, run) : run(std::move(values))) stack->push_back(std::move(value));
}

using Type = std::optional<at::ScalarType>;
using Layout = std::optional<at::Layout>;
using Device = std::optional<at::Device>;
const c10::DispatchKeySet KEYS(c10::DispatchKey::CUDA);

Tensor recorded(Tensor x) {
  if (capture) allocate(x);
  return x;
}

Tensor empty(at::IntArrayRef size, Type type, Layout, Device, std::optional<bool>, std::optional<at::MemoryFormat> format) {
  return recorded(at::detail::empty_generic(size, &memory, KEYS, c10::dtype_or_default(type), format));
}

Tensor empty_strided(at::IntArrayRef size, at::IntArrayRef stride, Type type, Layout, Device, std::optional<bool>) {
  return recorded(at::detail::empty_strided_generic(size, stride, &memory, KEYS, c10::dtype_or_default(type)));
}

Tensor& copy_(Tensor& self, const Tensor& source, bool non_blocking) {
  if (self.is_same(source)) return self;
  if (self.is_cuda() != source.is_cuda() && !non_blocking) synchronize("copy between host and device");
  TORCH_CHECK(!capture || self.is_cuda() == source.is_cuda(), "a CUDA graph copies from memory of the host");
  const auto copy = [](Values values) {
    at::AutoDispatchBelowADInplaceOrView guard;
    const Tensor &to = values[0].toTensor(), &from = values[1].toTensor();
    Tensor target = to.is_cuda() ? host_view(to) : to;
    target.copy_(from.is_cuda() ? host_view(from) : from);
    return Values();
  };
  capture ? record({self, source}, copy) : copy({self, source});
  return self;
}

at::Scalar local_scalar(const Tensor& self) {
  synchronize("item");
  return host_view(self).item();
}

void record_stream(Tensor&, c10::Stream) {}

Tensor& set_storage(Tensor& self, c10::Storage source, int64_t offset, at::IntArrayRef size, at::IntArrayRef stride) {
  self.unsafeGetTensorImpl()->set_storage_keep_dtype(std::move(source));
  self.unsafeGetTensorImpl()->set_sizes_and_strides(size, stride, offset);
  return self;
}

Tensor& set_whole(Tensor& self, c10::Storage source) {
  const int64_t size = source.nbytes() / self.dtype().itemsize();
  return set_storage(self, std::move(source), 0, {size}, {1});
}

// The fused cell exists for CUDA alone.
Values run_lstm_cell(Values in) {
  at::AutoDispatchBelowADInplaceOrView guard;
  Tensor gates = host_view(in[0].toTensor()) + host_view(in[1].toTensor());
  for (size_t bias : {3, 4})
    if (in[bias].isTensor()) gates = gates + host_view(in[bias].toTensor());
  auto parts = gates.chunk(4, 1);
  const Tensor i = parts[0].sigmoid(), f = parts[1].sigmoid(), g = parts[2].tanh(), o = parts[3].sigmoid();
  const Tensor cy = f * host_view(in[2].toTensor()) + i * g;
  return {device_view(o * cy.tanh()), device_view(cy), device_view(at::cat({i, f, g, o}, 1))};
}

Values run_lstm_cell_backward(Values in) {
  at::AutoDispatchBelowADInplaceOrView guard;
  auto parts = host_view(in[4].toTensor()).chunk(4, 1);
  const Tensor i = parts[0], f = parts[1], g = parts[2], o = parts[3], y = host_view(in[3].toTensor()).tanh();
  auto value = [&](const c10::IValue& x) { return x.isTensor() ? host_view(x.toTensor()) : at::zeros_like(y); };
  const Tensor dh = value(in[0]), dc = value(in[1]) + dh * o * (1 - y * y);
  const Tensor before = host_view(in[2].toTensor());
  const Tensor gates = at::cat(
      {dc * g * i * (1 - i), dc * before * f * (1 - f), dc * i * (1 - g * g), dh * y * o * (1 - o)}, 1);
  return {device_view(gates), device_view(dc * f), in[5].toBool() ? device_view(gates.sum(0)) : Tensor()};
}

c10::IValue optional(const std::optional<Tensor>& x) {
  return x.has_value() && x->defined() ? c10::IValue(*x) : c10::IValue();
}

template <Values (*Function)(Values)>
std::tuple<Tensor, Tensor, Tensor> run_composed(Values values) {
  const Values out = capture ? record(values, Function) : Function(values);
  return {out[0].toTensor(), out[1].toTensor(), out[2].toTensor()};
}

std::tuple<Tensor, Tensor, Tensor> lstm_cell(
    const Tensor& from_input, const Tensor& from_state, const Tensor& cx, const std::optional<Tensor>& input_bias,
    const std::optional<Tensor>& state_bias) {
  return run_composed<run_lstm_cell>({from_input, from_state, cx, optional(input_bias), optional(state_bias)});
}

std::tuple<Tensor, Tensor, Tensor> lstm_cell_backward(
    const std::optional<Tensor>& grad_hy, const std::optional<Tensor>& grad_cy, const Tensor& cx, const Tensor& cy,
    const Tensor& workspace, bool has_bias) {
  return run_composed<run_lstm_cell_backward>({optional(grad_hy), optional(grad_cy), cx, cy, workspace, has_bias});
}

}  // namespace

C10_REGISTER_GUARD_IMPL(CUDA, Guard)

TORCH_LIBRARY_IMPL(_, CUDA, m) { m.fallback(torch::CppFunction::makeFromBoxedFunction<&run_on_host>()); }

TORCH_LIBRARY_IMPL(aten, CUDA, m) {
  m.impl("empty.memory_format", TORCH_FN(empty));
  m.impl("empty_strided", TORCH_FN(empty_strided));
  m.impl("copy_", TORCH_FN(copy_));
  m.impl("_local_scalar_dense", TORCH_FN(local_scalar));
  m.impl("record_stream", TORCH_FN(record_stream));
  m.impl("set_.source_Storage_storage_offset", TORCH_FN(set_storage));
  m.impl("set_.source_Storage", TORCH_FN(set_whole));
  m.impl("_thnn_fused_lstm_cell", TORCH_FN(lstm_cell));
  m.impl("_thnn_fused_lstm_cell_backward_impl", TORCH_FN(lstm_cell_backward));
  // Compositions that would select kernels by the device.
  for (const char* name : {"convolution", "convolution_backward", "multinomial", "repeat_interleave.Tensor",
                           "masked_select", "native_dropout", "normal.Tensor_Tensor", "normal.float_Tensor",
                           "normal.Tensor_float", "randperm.generator_out", "equal"})
    m.impl(name, torch::CppFunction::makeFromBoxedFunction<&run_on_host>());
}

extern "C" {
void sim_start() {
  static Hooks hooks;
  // The interface has no registration after its first use: replace the functions of the existing object.
  const at::CUDAHooksInterface& current = at::detail::getCUDAHooks();
  *reinterpret_cast<void**>(const_cast<at::CUDAHooksInterface*>(&current)) = *reinterpret_cast<void**>(&hooks);
  c10::SetAllocator(c10::DeviceType::CUDA, &memory, 10);
}
void sim_set_callback(void (*function)(const char*)) { callback = function; }
void sim_set_mode(int value) { mode = value; }
int sim_mode() { return mode; }
void sim_give_default_generator(bool value) { gives_default_generator = value; }
int64_t sim_allocated() { return allocated; }
int64_t sim_peak() { return peak; }
void sim_reset_peak() { peak = allocated.load(); }
void sim_set_limit(int64_t bytes) { limit = bytes; }
}
