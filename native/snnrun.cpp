// What Python and XLA see of the library: plain functions for building, and handlers that a compiled step calls.
#include "deliver.hpp"
#include "xla/ffi/api/ffi.h"

namespace ffi = xla::ffi;
using namespace snnrun;

namespace {

const Network& network_at(const ffi::Buffer<ffi::S64>& address) {
  return *reinterpret_cast<const Network*>(*address.typed_data());
}

// The last result, if there is one from a number on: what waits.
ffi::Error waiting_of(ffi::RemainingRets& results, size_t number, int64_t** pending) {
  *pending = nullptr;
  if (number < results.size()) {
    auto waits = results.get<ffi::AnyBuffer>(number);
    if (!waits) return waits.error();
    *pending = static_cast<int64_t*>((*waits)->untyped_data());
  }
  return ffi::Error::Success();
}

// What a handler does, with a lack of memory as its error: an exception must not leave it.
template <class F>
ffi::Error guarded(F&& work) {
  try {
    return work();
  } catch (const std::bad_alloc&) {
    return ffi::Error(ffi::ErrorCode::kResourceExhausted, "no memory is left");
  }
}

History history_of(ffi::Buffer<ffi::U32>& bits, ffi::Buffer<ffi::U32>& digests) {
  return {bits.dimensions()[0], bits.dimensions()[1], bits.typed_data(), digests.typed_data()};
}

// What the sources of releases carry and become where they fire: the runs of words of a row, and of places, of their axis.
// Results: what the spikes of each row carry, then their variables; operands: the same, what a spike carries now, and what the
// variables become then.
ffi::Error release(const ffi::RemainingArgs& operands, ffi::RemainingRets& results, size_t operand, size_t result,
                   ffi::Span<const int64_t> runs, const uint32_t* row, History& history, int64_t step, size_t variables) {
  const size_t count = 1 + variables;
  static thread_local std::vector<std::pair<double*, const double*>> set;
  set.clear();
  for (size_t i = 0; i < count; ++i) {
    auto to = results.get<ffi::AnyBuffer>(result + i);
    auto from = operands.get<ffi::AnyBuffer>(operand + count + i);
    if (!to) return to.error();
    if (!from) return from.error();
    double* begin = static_cast<double*>((*to)->untyped_data());
    if (i == 0) {
      history.carried = begin;
      history.releases = (*to)->dimensions()[1];
      begin += history.place(step) * history.releases;
    }
    set.push_back({begin, static_cast<const double*>(from->untyped_data())});
  }
  for (size_t r = 0; r + 2 < runs.size(); r += 3) {
    for (int64_t w = 0; w < runs[r + 1]; ++w) {
      for (uint32_t bits = row[runs[r] + w]; bits; bits &= bits - 1) {
        const int64_t place = runs[r + 2] + 32 * w + __builtin_ctz(bits);
        for (const auto& [to, from] : set) to[place] = from[place];
      }
    }
  }
  return ffi::Error::Success();
}

constexpr size_t RELEASE_VARIABLES = 2, PLASTIC = 8;

// What a run remembers of weights that change, from buffers that follow each other.
template <class At>
ffi::Error plastic_of(At&& at, Plastic* plastic) {
  ffi::AnyBuffer found[PLASTIC] = {ffi::AnyBuffer(nullptr), ffi::AnyBuffer(nullptr), ffi::AnyBuffer(nullptr), ffi::AnyBuffer(nullptr),
                                   ffi::AnyBuffer(nullptr), ffi::AnyBuffer(nullptr), ffi::AnyBuffer(nullptr), ffi::AnyBuffer(nullptr)};
  for (size_t i = 0; i < PLASTIC; ++i) {
    if (const ffi::Error error = at(i, &found[i]); error.failure()) return error;
  }
  const auto rings = [&](size_t i) {
    const auto shape = found[i].dimensions();
    return Rings{static_cast<double*>(found[i].untyped_data()), static_cast<int64_t*>(found[i + 1].untyped_data()), shape[0], shape[1],
                 shape[2]};
  };
  *plastic = {static_cast<double*>(found[0].untyped_data()), rings(1), rings(3), static_cast<double*>(found[5].untyped_data()),
              static_cast<int64_t*>(found[6].untyped_data()), static_cast<int64_t*>(found[7].untyped_data())};
  return ffi::Error::Success();
}

// What moves V at the end of a step, before the threshold is tested. Where arrivals wait, they are the last operand and result.
ffi::Error jumps(ffi::Buffer<ffi::S64> network, ffi::Buffer<ffi::S64> step, ffi::Buffer<ffi::U32> bits,
                 ffi::Buffer<ffi::U32> digests, ffi::RemainingArgs operands, ffi::RemainingRets results, int64_t releases,
                 int64_t plastic) {
  return guarded([&]() -> ffi::Error {
    const Network& net = network_at(network);
    History history = history_of(bits, digests);
    if (releases) {
      auto carried = operands.get<ffi::AnyBuffer>(0);
      if (!carried) return carried.error();
      history.carried = static_cast<const double*>(carried->untyped_data()), history.releases = releases;
    }
    Plastic weights;
    if (plastic) {
      const ffi::Error error = plastic_of([&](size_t i, ffi::AnyBuffer* to) -> ffi::Error {
        auto found = operands.get<ffi::AnyBuffer>((releases ? 1 : 0) + i);
        if (!found) return found.error();
        *to = *found;
        return ffi::Error::Success();
      }, &weights);
      if (error.failure()) return error;
      history.plastic = &weights;
    }
    static thread_local std::vector<void*> out;
    out.resize(static_cast<size_t>(net.stages[0].results));
    bool single = false;
    for (size_t i = 0; i < out.size(); ++i) {
      auto result = results.get<ffi::AnyBuffer>(i);
      if (!result) return result.error();
      single = (*result)->element_type() == ffi::F32;
      out[i] = (*result)->untyped_data();
    }
    int64_t* pending = nullptr;
    if (const ffi::Error error = waiting_of(results, out.size() + (plastic ? 1 : 0), &pending); error.failure()) return error;
    single ? arrivals<float>(net, 0, history, *step.typed_data(), pending, reinterpret_cast<float* const*>(out.data()))
           : arrivals<double>(net, 0, history, *step.typed_data(), pending, reinterpret_cast<double* const*>(out.data()));
    return ffi::Error::Success();
  });
}

// A group's part of a row of bits.
struct Part {
  ffi::AnyBuffer fired;  // a mask, or a threshold
  ffi::AnyBuffer value;  // what reaches the threshold
  int64_t reached;       // whether it is a threshold
  int64_t size, padded, first_word;
  size_t resets, resets_end;  // what a spike sets

  void pack_into(uint32_t* row, int64_t begin, int64_t end) const {  // neurons begin ... end - 1, multiples of 32
    uint32_t* words = row + first_word + begin / 32;
    const int64_t count = end - begin, stride = fired.element_count() > 1;
    if (!reached) {
      pack(static_cast<const uint8_t*>(fired.untyped_data()) + begin, count, words);
    } else if (value.element_type() == ffi::F32) {
      pack_reached(static_cast<const float*>(value.untyped_data()) + begin,
                   static_cast<const float*>(fired.untyped_data()) + stride * begin, stride, count, words);
    } else {
      pack_reached(static_cast<const double*>(value.untyped_data()) + begin,
                   static_cast<const double*>(fired.untyped_data()) + stride * begin, stride, count, words);
    }
    for (int64_t i = std::max(size, begin); i < end; i += 32 - i % 32) {  // nobody is beyond the last neuron
      row[first_word + i / 32] &= i % 32 ? ~(~0u << i % 32) : 0;
    }
  }
};

constexpr int64_t PIECE = 1 << 14;  // neurons that one thread looks at, at a time

// A variable of a group that is set where a neuron fires.
struct Reset {
  void* variable;     // one value per neuron
  const void* value;  // one for all, or one per neuron
  int64_t stride;     // 0 or 1
  size_t bytes;

  void set(int64_t i) const {
    if (bytes == 4) {
      static_cast<uint32_t*>(variable)[i] = static_cast<const uint32_t*>(value)[stride * i];
    } else {
      static_cast<uint64_t*>(variable)[i] = static_cast<const uint64_t*>(value)[stride * i];
    }
  }
};

// For neurons begin ... end - 1, multiples of 64; the words are theirs.
void set_where_fired(const Reset* resets, const Reset* resets_end, const uint32_t* words, int64_t begin, int64_t end) {
  for (int64_t first = begin; first < end; first += 64, words += 2) {
    uint64_t bits;
    std::memcpy(&bits, words, 8);
    for (; bits; bits &= bits - 1) {
      const int64_t i = first + __builtin_ctzll(bits);
      for (const Reset* reset = resets; reset != resets_end; ++reset) reset->set(i);
    }
  }
}

// Who fired becomes the row of this step, which is written into the history and, as far as it is tapped, into row `step - first`
// of the frames; what a spike sets is set; then variables of receptors decay, and what arrives is added to them, times a factor
// where `scaled` names one. The steps until `end` follow. For each group there is a mask or, where `reached` names one of the
// leaves of their states, the threshold for it. `then` holds, for each operand after the leaves, the group whose spikes set it and
// the leaf that is set. Operands after these: variables, decays, scales, and what waits.
ffi::Error close_step(ffi::Buffer<ffi::S64> network, ffi::Buffer<ffi::S64> step, ffi::Buffer<ffi::S64> first,
                  ffi::Buffer<ffi::S64> end, ffi::Buffer<ffi::U32>, ffi::Buffer<ffi::U32>, ffi::Buffer<ffi::U32>,
                  ffi::RemainingArgs operands,
                  ffi::Result<ffi::Buffer<ffi::U32>> frames, ffi::Result<ffi::Buffer<ffi::U32>> bits,
                  ffi::Result<ffi::Buffer<ffi::U32>> digests, ffi::RemainingRets results, ffi::Span<const int64_t> taps,
                  ffi::Span<const int64_t> reached, ffi::Span<const int64_t> sizes, ffi::Span<const int64_t> then, int64_t leaves,
                  ffi::Span<const int64_t> scaled, int64_t single, ffi::Span<const int64_t> releases,
                  int64_t plastic) {
  return guarded([&]() -> ffi::Error {
    const Network& net = network_at(network);
    const int64_t k = *step.typed_data();
    History history = history_of(*bits, *digests);
    uint32_t* row = bits->typed_data() + history.place(k) * history.words;
    static thread_local std::vector<std::pair<Part, int64_t>> pieces;
    static thread_local std::vector<Reset> resets;
    pieces.clear(), resets.clear();
    for (size_t i = 0; i + 1 < then.size(); i += 2) {
      auto variable = operands.get<ffi::AnyBuffer>(sizes.size() + static_cast<size_t>(then[i + 1]));
      auto value = operands.get<ffi::AnyBuffer>(sizes.size() + static_cast<size_t>(leaves) + i / 2);
      if (!variable) return variable.error();
      if (!value) return value.error();
      resets.push_back({variable->untyped_data(), value->untyped_data(), value->element_count() > 1,
                        ffi::ByteWidth(variable->element_type())});
    }
    size_t reset = 0;
    int64_t place = 0;
    for (size_t i = 0; i < sizes.size(); ++i) {
      auto fired = operands.get<ffi::AnyBuffer>(i);
      if (!fired) return fired.error();
      auto value = operands.get<ffi::AnyBuffer>(reached[i] < 0 ? i : sizes.size() + static_cast<size_t>(reached[i]));
      if (!value) return value.error();
      const size_t own = reset;
      while (reset < resets.size() && then[2 * reset] == static_cast<int64_t>(i)) ++reset;
      const Part part{*fired, *value, reached[i] >= 0, sizes[i], static_cast<int64_t>(value->element_count()), place, own, reset};
      for (int64_t begin = 0; begin < part.padded; begin += PIECE) pieces.push_back({part, begin});
      place += part.padded / 32;
    }
    const auto& all = pieces;
    const auto& set = resets;
    const bool share = place * 32 > 2 * PIECE;
    Workers::get().run(share ? static_cast<int>(net.threads) : 1, static_cast<int64_t>(all.size()), [&](int64_t i) {
      const auto& [part, begin] = all[static_cast<size_t>(i)];
      const int64_t end = std::min(begin + PIECE, part.padded);
      part.pack_into(row, begin, end);
      set_where_fired(set.data() + part.resets, set.data() + part.resets_end, row + part.first_word + begin / 32, begin, end);
    });
    digest_row(row, history.words, digests->typed_data() + history.place(k) * (1 + History::digest_words(history.words)));
    uint32_t* out = frames->typed_data() + (k - *first.typed_data()) * frames->dimensions()[1];
    for (size_t i = 0; i + 1 < taps.size(); i += 2) {
      std::memcpy(out, row + taps[i], sizeof(uint32_t) * static_cast<size_t>(taps[i + 1] - taps[i]));
      out += taps[i + 1] - taps[i];
    }
    static thread_local std::vector<detail::Result> into;
    into.clear();
    const size_t first_result = static_cast<size_t>(leaves);
    const size_t first_factor = sizes.size() + static_cast<size_t>(leaves) + then.size() / 2 + scaled.size();
    for (size_t i = 0; i < scaled.size(); ++i) {
      auto variable = results.get<ffi::AnyBuffer>(first_result + i);
      auto decay = operands.get<ffi::AnyBuffer>(first_factor + i);
      if (!variable) return variable.error();
      if (!decay) return decay.error();
      detail::Result result{(*variable)->untyped_data(), static_cast<int64_t>((*variable)->element_count()),
                            (*variable)->dimensions().back(), true, (*variable)->element_type() == ffi::F64,
                            {decay->untyped_data(), static_cast<int64_t>(decay->element_count())}, {}};
      if (scaled[i] >= 0) {
        auto scale = operands.get<ffi::AnyBuffer>(first_factor + scaled.size() + static_cast<size_t>(scaled[i]));
        if (!scale) return scale.error();
        result.scale = {scale->untyped_data(), static_cast<int64_t>(scale->element_count())};
      }
      into.push_back(result);
    }
    size_t last_result = first_result + into.size();
    if (releases.size()) {
      size_t scales = 0;
      for (size_t i = 0; i < scaled.size(); ++i) scales += scaled[i] >= 0;
      const ffi::Error error = release(operands, results, first_factor + scaled.size() + scales, last_result, releases, row, history, k,
                                       RELEASE_VARIABLES);
      if (error.failure()) return error;
      last_result += 1 + RELEASE_VARIABLES;
    }
    Plastic weights;
    if (plastic) {
      const ffi::Error error = plastic_of([&](size_t i, ffi::AnyBuffer* to) -> ffi::Error {
        auto found = results.get<ffi::AnyBuffer>(last_result + i);
        if (!found) return found.error();
        *to = **found;
        return ffi::Error::Success();
      }, &weights);
      if (error.failure()) return error;
      last_result += PLASTIC;
      history.plastic = &weights;
      remember(net, weights, row, k + 1);
    }
    int64_t* pending = nullptr;
    if (const ffi::Error error = waiting_of(results, last_result, &pending); error.failure()) return error;
    single ? arrivals<float>(net, 1, history, k, pending, into.data()) : arrivals<double>(net, 1, history, k, pending, into.data());
    if (k + 1 < *end.typed_data()) look_ahead(net, history, k + 1);
    return ffi::Error::Success();
  });
}

// One word per neuron of some populations, which lie side by side and have a stream each.
ffi::Error words_of(ffi::Buffer<ffi::U32> keys, ffi::Buffer<ffi::S64> sizes, ffi::Buffer<ffi::S64> step,
                    ffi::Result<ffi::Buffer<ffi::U32>> out) {
  uint32_t* to = out->typed_data();
  for (size_t i = 0; i < sizes.element_count(); to += sizes.typed_data()[i++]) {
    const Key key{keys.typed_data()[2 * i], keys.typed_data()[2 * i + 1]};
    step_words(key, static_cast<uint64_t>(*step.typed_data()), 0, sizes.typed_data()[i], to);
  }
  return ffi::Error::Success();
}

}  // namespace

#pragma GCC visibility push(default)

XLA_FFI_DEFINE_HANDLER_SYMBOL(snnrun_jumps, jumps,
                              ffi::Ffi::Bind()
                                  .Arg<ffi::Buffer<ffi::S64>>()
                                  .Arg<ffi::Buffer<ffi::S64>>()
                                  .Arg<ffi::Buffer<ffi::U32>>()
                                  .Arg<ffi::Buffer<ffi::U32>>()
                                  .RemainingArgs()
                                  .RemainingRets()
                                  .Attr<int64_t>("releases")
                                  .Attr<int64_t>("plastic"));
XLA_FFI_DEFINE_HANDLER_SYMBOL(snnrun_close, close_step,
                              ffi::Ffi::Bind()
                                  .Arg<ffi::Buffer<ffi::S64>>()
                                  .Arg<ffi::Buffer<ffi::S64>>()
                                  .Arg<ffi::Buffer<ffi::S64>>()
                                  .Arg<ffi::Buffer<ffi::S64>>()
                                  .Arg<ffi::Buffer<ffi::U32>>()
                                  .Arg<ffi::Buffer<ffi::U32>>()
                                  .Arg<ffi::Buffer<ffi::U32>>()
                                  .RemainingArgs()
                                  .Ret<ffi::Buffer<ffi::U32>>()
                                  .Ret<ffi::Buffer<ffi::U32>>()
                                  .Ret<ffi::Buffer<ffi::U32>>()
                                  .RemainingRets()
                                  .Attr<ffi::Span<const int64_t>>("taps")
                                  .Attr<ffi::Span<const int64_t>>("reached")
                                  .Attr<ffi::Span<const int64_t>>("sizes")
                                  .Attr<ffi::Span<const int64_t>>("then")
                                  .Attr<int64_t>("leaves")
                                  .Attr<ffi::Span<const int64_t>>("scaled")
                                  .Attr<int64_t>("single")
                                  .Attr<ffi::Span<const int64_t>>("releases")
                                  .Attr<int64_t>("plastic"));
XLA_FFI_DEFINE_HANDLER_SYMBOL(snnrun_words, words_of,
                              ffi::Ffi::Bind()
                                  .Arg<ffi::Buffer<ffi::U32>>()
                                  .Arg<ffi::Buffer<ffi::S64>>()
                                  .Arg<ffi::Buffer<ffi::S64>>()
                                  .Ret<ffi::Buffer<ffi::U32>>());

extern "C" {

// Version of the interface that the library was built for, and sizes of what Python fills in: a guard against a mismatch.
void snnrun_interface(int64_t* out) {
  out[0] = XLA_FFI_API_MAJOR, out[1] = XLA_FFI_API_MINOR;
  out[2] = sizeof(Pathway), out[3] = sizeof(Law), out[4] = sizeof(Block), out[5] = sizeof(Found), out[6] = sizeof(Noise);
  out[7] = sizeof(Network), out[8] = sizeof(Procedural), out[9] = sizeof(Receptor), out[10] = sizeof(Plasticity);
}

Found snnrun_survey(const Pathway* p, const Shards* shards, int64_t part, int64_t parts) {
  return survey(*p, *shards, part, parts);
}
Found snnrun_count(const Pathway* p, const Block* block, const Shards* shards, int64_t part, int64_t parts) {
  return count(*p, *block, *shards, part, parts);
}
int64_t snnrun_accumulate(const Block* block, const Shards* shards, int64_t* longest_row) {
  return accumulate(*block, *shards, longest_row);
}
Found snnrun_fill(const Pathway* p, const Block* block, const Shards* shards, int64_t part, int64_t parts) {
  return fill(*p, *block, *shards, part, parts);
}

// Brings all weights up to date, at the end of the step `until` - 1.
void snnrun_refresh(const Network* net, double* y, double* source_entries, int64_t* source_count, const int64_t* source_shape,
                    double* target_entries, int64_t* target_count, const int64_t* target_shape, double* recent, int64_t* needed,
                    int64_t* seen, int64_t until) {
  const Plastic state{y, {source_entries, source_count, source_shape[0], source_shape[1], source_shape[2]},
                      {target_entries, target_count, target_shape[0], target_shape[1], target_shape[2]}, recent, needed, seen};
  refresh(*net, 0, state, until);
  refresh(*net, 1, state, until);
  forget(state, net->plastic_longest);
}

// One step's arrivals without XLA, for tests.
void snnrun_arrivals(const Network* net, int64_t stage, int64_t depth, int64_t words, const uint32_t* bits, const double* carried,
                     int64_t releases, int64_t step, int64_t* pending, double* const* out) {
  const int64_t size = 1 + History::digest_words(words);
  std::vector<uint32_t> digests(static_cast<size_t>(depth * size));
  for (int64_t row = 0; row < depth; ++row) digest_row(bits + row * words, words, digests.data() + row * size);
  arrivals<double>(*net, static_cast<int>(stage), History{depth, words, bits, digests.data(), carried, releases}, step, pending, out);
}

// Draws of a law, edges of some rows, words of a step: for tests against their twins.
int64_t snnrun_draw(const Law* law, const uint64_t* entity, const uint64_t* number, int64_t count, double* values) {
  for (int64_t i = 0; i < count; i += BATCH) {
    if (!draw(*law, entity + i, number + i, static_cast<int>(std::min<int64_t>(BATCH, count - i)), values + i)) return 0;
  }
  return 1;
}
int64_t snnrun_edges(const Pathway* p, int64_t begin, int64_t end, int64_t room, int32_t* pre, int32_t* post, uint64_t* entity,
                     uint64_t* number) {
  int64_t found = 0;
  edges_of_rows(*p, begin, end, [&](const Edges& edges) {
    for (int i = 0; i < edges.count; ++i, ++found) {
      if (found < room) {
        pre[found] = edges.pre[i], post[found] = edges.post[i], entity[found] = edges.entity[i], number[found] = edges.number[i];
      }
    }
  });
  return found;
}
void snnrun_step_words(const uint32_t* key, int64_t step, int64_t first, int64_t size, uint32_t* out) {
  step_words(Key{key[0], key[1]}, static_cast<uint64_t>(step), first, size, out);
}
}

#pragma GCC visibility pop
