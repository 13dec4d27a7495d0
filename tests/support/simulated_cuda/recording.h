// CUDA graphs of the simulated device. A capture records operators without effects: it restores what they change and
// overwrites their results, which are undefined before the first replay. A replay executes them on the same memory.

#pragma once

#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/ivalue.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <limits>
#include <map>
#include <set>
#include <vector>

#include "memory.h"

namespace {

template <class Function>
void replace(c10::IValue& value, Function convert) {
  if (value.isTensor()) {
    value = convert(value.toTensor());
  } else if (value.isTensorList()) {
    c10::List<Tensor> list;
    for (const Tensor& x : value.toTensorVector()) list.push_back(convert(x));
    value = list;
  } else if (value.isOptionalTensorList()) {
    c10::List<std::optional<Tensor>> list;
    for (const std::optional<Tensor> x : value.toOptionalTensorList())
      list.push_back(x.has_value() ? std::optional<Tensor>(convert(*x)) : x);
    value = list;
  }
}

using Values = std::vector<c10::IValue>;

std::vector<Tensor> device_tensors(Values values) {
  std::vector<Tensor> found;
  for (c10::IValue& value : values)
    replace(value, [&](const Tensor& x) {
      if (x.defined() && x.is_cuda()) found.push_back(x);
      return x;
    });
  return found;
}

// The same values, whose tensors on the device have no autograd graph.
Values detached(Values values) {
  for (c10::IValue& value : values)
    replace(value, [](const Tensor& x) {
      return x.defined() && x.is_cuda() ? view(x.storage(), x, x.key_set()) : x;
    });
  return values;
}

using Block = c10::StorageImpl*;  // memory of a tensor

struct Graph {
  int64_t pool = 0;
  std::vector<std::function<void()>> steps;
  std::map<Block, size_t> references;  // of the recorded tensors
  std::vector<c10::Storage> own;         // memory that the capture allocated
  std::set<Block> reused;              // memory of earlier graphs of the pool that was free before the capture
  std::set<Block> used;                // memory of no graph of the pool

  void refer(const Values& values);
  void replay() const;
};

std::vector<Graph*> graphs;
std::map<Block, Graph*> owners;
Graph* capture = nullptr;
bool is_capturing() { return capture != nullptr; }

size_t count_references(Block memory) {
  size_t count = 0;
  for (const Graph* graph : graphs) {
    const auto found = graph->references.find(memory);
    if (found != graph->references.end()) count += found->second;
  }
  return count;
}

// Whether no tensor of the program is in this memory.
bool is_free(Block memory) { return c10::raw::intrusive_ptr::use_count(memory) <= count_references(memory); }

void poison(Block memory) { std::memset(memory->mutable_data(), 0xff, memory->nbytes()); }

void Graph::refer(const Values& values) {
  for (const Tensor& x : device_tensors(values)) {
    const Block memory = x.storage().unsafeGetStorageImpl();
    ++references[memory];
    if (!owners.count(memory) || owners.at(memory)->pool != pool) used.insert(memory);
  }
}

// A replay may overwrite the memory that its graph shares with other graphs of the pool.
void Graph::replay() const {
  for (const Block memory : used)
    TORCH_CHECK(!is_free(memory), "a CUDA graph uses memory that was freed after its capture");
  for (const Block memory : reused) poison(memory);
  for (const Graph* other : graphs) {
    const bool shares = std::any_of(own.begin(), own.end(), [&](const c10::Storage& storage) {
      return other->reused.count(storage.unsafeGetStorageImpl()) > 0;
    });
    if (shares)
      for (const c10::Storage& storage : other->own) poison(storage.unsafeGetStorageImpl());
  }
  at::AutoDispatchBelowADInplaceOrView guard;
  for (const auto& step : steps) step();
}

void begin_capture(int64_t pool) {
  auto* graph = new Graph();
  graph->pool = pool;
  for (const Graph* other : graphs)
    if (other->pool == pool)
      for (const c10::Storage& storage : other->own)
        if (is_free(storage.unsafeGetStorageImpl())) graph->reused.insert(storage.unsafeGetStorageImpl());
  graphs.push_back(graph);
  capture = graph;
}

void free_graph(Graph* graph) {
  graphs.erase(std::find(graphs.begin(), graphs.end(), graph));
  for (const c10::Storage& storage : graph->own) {
    owners.erase(storage.unsafeGetStorageImpl());
    for (Graph* other : graphs) other->reused.erase(storage.unsafeGetStorageImpl());
  }
  delete graph;
}

void copy_values(const Tensor& target, const Tensor& source) {
  at::AutoDispatchBelowADInplaceOrView guard;
  host_view(target).copy_(host_view(source));
}

// Mark memory as that of the capture, and overwrite it. Integers are zero, so that operators on indices do not fail.
void allocate(const Tensor& x) {
  const Block memory = x.storage().unsafeGetStorageImpl();
  if (owners.emplace(memory, capture).second) {
    capture->own.push_back(x.storage());
    ++capture->references[memory];
  }
  at::AutoDispatchBelowADInplaceOrView guard;
  if (x.is_floating_point()) host_view(x).fill_(std::numeric_limits<double>::quiet_NaN());
  else host_view(x).zero_();
}

// Contents of the memory and of the random generator, which a capture does not change.
struct Contents {
  std::vector<std::pair<c10::Storage, std::vector<char>>> saved;
  Tensor random = Tensor(default_generator().unsafeGetGeneratorImpl()->get_state());

  explicit Contents(const Values& values) {
    for (const Tensor& x : device_tensors(values)) {
      const auto* bytes = static_cast<const char*>(x.storage().data());
      saved.emplace_back(x.storage(), std::vector<char>(bytes, bytes + x.storage().nbytes()));
    }
  }

  void restore() const {
    default_generator().unsafeGetGeneratorImpl()->set_state(*random.unsafeGetTensorImpl());
    for (const auto& [storage, bytes] : saved)
      if (storage.nbytes() == bytes.size()) std::memcpy(storage.mutable_data(), bytes.data(), bytes.size());
  }
};

// Record ``execute``, which maps arguments to results, and return results of undefined content.
Values record(const Values& arguments, const std::function<Values(Values)>& execute) {
  const Values inputs = detached(arguments);
  const Contents contents(inputs);
  Values results = execute(arguments);
  contents.restore();
  std::set<const void*> given;
  for (const Tensor& x : device_tensors(inputs)) given.insert(x.storage().data());
  for (const Tensor& x : device_tensors(results))
    if (!given.count(x.storage().data())) allocate(x);
  const Values outputs = detached(results);
  capture->refer(inputs);
  capture->refer(outputs);
  capture->steps.push_back([=] {
    const std::vector<Tensor> found = device_tensors(execute(inputs)), kept = device_tensors(outputs);
    for (size_t i = 0; i < found.size(); ++i)
      if (found[i].storage().data() != kept[i].storage().data()) copy_values(kept[i], found[i]);
  });
  return results;
}

}  // namespace

extern "C" {
void sim_capture_begin(int64_t pool) { begin_capture(pool); }
bool sim_capturing() { return is_capturing(); }
void* sim_capture_end() {
  Graph* graph = capture;
  capture = nullptr;
  return graph;
}
void sim_replay(void* graph, void (*failed)(const char*)) {
  try {
    static_cast<Graph*>(graph)->replay();
  } catch (const std::exception& error) {
    failed(error.what());
  }
}
int64_t sim_graph_size(void* graph) { return static_cast<Graph*>(graph)->steps.size(); }
void sim_graph_free(void* graph) { free_graph(static_cast<Graph*>(graph)); }
}
