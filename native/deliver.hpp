// One step's arrivals: for every edge whose source fired `delay` steps ago, sums[target] += weight, in integers.
#pragma once

#include <limits>

#include "layout.hpp"
#include "noise.hpp"
#include "plastic.hpp"
#include "workers.hpp"

namespace snnrun {

// Who fired in the last steps: row k % depth holds step k, one bit per source. A row's *digest* is how many they were, and one
// bit for each 64 sources that says whether any of them did: most of a row is silent, and is passed over without being read.
struct History {
  int64_t depth, words;      // words of 32 bits, an even number of them
  const uint32_t* bits;      // [depth, words]
  const uint32_t* digests;   // [depth, 1 + digest_words(words)]
  const double* carried = nullptr;  // [depth, releases]: what part of their weight the spikes of a row carry
  int64_t releases = 0;
  const Plastic* plastic = nullptr;
  double part(int64_t step, int64_t release) const { return carried[place(step) * releases + release]; }
  int64_t place(int64_t step) const { return ((step % depth) + depth) % depth; }
  const uint32_t* row(int64_t step) const { return bits + place(step) * words; }
  const uint32_t* digest(int64_t step) const { return digests + place(step) * (1 + digest_words(words)); }
  int64_t spikes(int64_t step) const { return *digest(step); }

  static int64_t digest_words(int64_t words) { return (words / 2 + 31) / 32; }
};

// Writes the digest of a row.
SNNRUN_HOT inline void digest_row(const uint32_t* row, int64_t words, uint32_t* digest) {
  uint32_t spikes = 0;
  for (int64_t first = 0; first < words / 2; first += 32) {
    uint32_t some = 0;
    for (int64_t w = first; w < std::min(first + 32, words / 2); ++w) {
      uint64_t bits;
      std::memcpy(&bits, row + 2 * w, 8);
      spikes += static_cast<uint32_t>(__builtin_popcountll(bits));
      some |= static_cast<uint32_t>(bits != 0) << (w - first);
    }
    digest[1 + first / 32] = some;
  }
  digest[0] = spikes;
}

// Consecutive places first ... first + size - 1 on an axis, which are the indices from `index` on of a selection.
struct Run {
  int64_t first, size, index;
};

struct Procedural {
  Pathway pathway;
  const Run* sources;
  int64_t source_runs;
  const Run* targets;
  int64_t target_runs;
  double edges_per_row;  // expected
  const int32_t* release;  // [pre] place on the axis of releases; null where a spike carries the whole weight
};

// Neurons of a receptor that are consecutive places on the axis of targets.
struct Receptor {
  int64_t first, size;  // places
  double quantum;
  int64_t result, neuron;  // which of the results the receptor is handed out to, and from which place there on
};

// What is delivered together: jumps of V by delta synapses, which are due before the threshold is tested, or arrivals at
// receptor variables, which are due after it.
struct Stage {
  const Block* blocks;
  int64_t block_count;
  const Procedural* procedural;
  int64_t procedural_count;
  const Noise* noise;
  int64_t noise_count;
  const Receptor* receptors;  // those that are handed out
  int64_t receptor_count;
  int64_t results;
  int64_t counting;  // all edges onto a receptor have one weight, its quantum is that weight in units, and sums count arrivals
  int64_t few;       // all receptors add to variables, and there are few of them in each shard
};

struct Network {
  int64_t threads, targets;
  Shards shards;
  const Plasticity* plasticities;
  const PlasticRun* plastic_runs;  // of sources, then of targets
  int64_t plastic_run_count, plastic_source_runs, plastic_longest;  // the longest delay of a plastic projection
  double edges_per_segment;  // expected, over all blocks
  double worth_sharing;      // nanoseconds of work that are worth calling other threads for
  Stage stages[2];           // jumps, arrivals
};

// Nanoseconds, roughly: what an edge takes, a due segment, an edge that is drawn, a neuron's noise, a receptor's sum.
constexpr int64_t FEW_RECEPTORS = 8;  // of a shard: for more it takes long to find that of a place
constexpr double FEW = 12.0;           // places that are handed over in the time of an edge that is gone through twice
constexpr double EDGE = 1.0, SEGMENT = 8.0, DRAWN_EDGE = 8.0, NOISE = 1.0, SUM = 0.3;

namespace detail {

// Calls f(source) for the set bits of a row at the places first ... end - 1.
template <class F>
SNNRUN_INLINE void fired_in(const uint32_t* row, const uint32_t* digest, int64_t first, int64_t end, F&& f) {
  const int64_t begin = first / 64, stop = (end + 63) / 64;
  for (int64_t group = begin / 32; group * 32 < stop; ++group) {
    for (uint32_t some = digest[1 + group]; some; some &= some - 1) {
      const int64_t w = group * 32 + __builtin_ctz(some);
      if (w < begin || w >= stop) continue;
      uint64_t bits;
      std::memcpy(&bits, row + 2 * w, 8);
      if (w * 64 < first) bits &= ~0ull << (first - w * 64);
      if ((w + 1) * 64 > end) bits &= ~0ull >> ((w + 1) * 64 - end);
      for (; bits; bits &= bits - 1) f(w * 64 + __builtin_ctzll(bits));
    }
  }
}

struct Segment {
  int32_t row, rank;
};

// The whole number next to a product, the even one where two are: a weight of which a spike carries a part.
SNNRUN_INLINE int64_t scaled(int64_t weight, double part) {
  const double value = static_cast<double>(weight) * part;
#ifdef SNNRUN_X86
  return _mm_cvtsd_si64(_mm_set_sd(value));
#else
  return std::llrint(value);
#endif
}

// Segments whose edges arrive in a step, for each block of a stage.
struct Due {
  std::vector<std::vector<Segment>> of_block;
  std::vector<std::vector<double>> parts;  // of their weight that these spikes carry; none in a block whose spikes carry all
  int64_t segments = 0;
};

template <int WEIGHT, bool PARTS, class Sum>
SNNRUN_INLINE void add_records(const uint8_t* record, int64_t count, int64_t weight, double part, Sum* __restrict sums) {
  if (PARTS && WEIGHT == 0) weight = scaled(weight, part);
  for (int64_t i = 0; i < count; ++i, record += 2 + WEIGHT) {
    uint16_t target;
    std::memcpy(&target, record, 2);
    if (WEIGHT == 4) {
      int32_t narrow;
      std::memcpy(&narrow, record + 2, 4);
      weight = narrow;
    } else if (WEIGHT == 8) {
      std::memcpy(&weight, record + 2, 8);
    }
    if (PARTS && WEIGHT) weight = scaled(weight, part);
    sums[target] += static_cast<Sum>(weight);
  }
}

struct Span {
  const uint8_t* begin;
  int64_t count;
};

template <class Offset>
SNNRUN_INLINE Span span_of(const Block& b, int64_t shard, Segment s) {
  const int64_t* first = b.first_edge + shard * (b.sources + 1) + s.row;
  const int64_t record = 2 + b.weight_bytes;
  if (!b.offsets) return {b.records + first[0] * record, first[1] - first[0]};
  const Offset* offset = static_cast<const Offset*>(b.offsets) + (shard * b.sources + s.row) * (b.ranks + 1) + s.rank;
  return {b.records + (first[0] + offset[0]) * record, static_cast<int64_t>(offset[1]) - offset[0]};
}

// Adds segments; what they need is fetched into the cache some segments ahead, in two stages: where they lie, and their edges.
template <class Offset, int WEIGHT, bool PARTS, class Sum>
void add_segments(const Block& b, int64_t shard, const std::vector<Segment>& segments, const std::vector<double>& parts, int64_t weight,
                  Sum* sums) {
  constexpr int64_t FAR = 16, NEAR = 8;
  Span ring[NEAR];
  const int64_t n = static_cast<int64_t>(segments.size());
  for (int64_t i = 0; i < n + FAR; ++i) {
    if (i < n) {
      const Segment s = segments[static_cast<size_t>(i)];
      __builtin_prefetch(b.first_edge + shard * (b.sources + 1) + s.row);
      if (b.offsets) {
        __builtin_prefetch(static_cast<const Offset*>(b.offsets) + (shard * b.sources + s.row) * (b.ranks + 1) + s.rank);
      }
    }
    const int64_t near = i - (FAR - NEAR), now = i - FAR;
    if (now >= 0) {
      const Span span = ring[now % NEAR];
      add_records<WEIGHT, PARTS>(span.begin, span.count, weight, PARTS ? parts[static_cast<size_t>(now)] : 1.0, sums);
    }
    if (near >= 0 && near < n) {
      const Span span = span_of<Offset>(b, shard, segments[static_cast<size_t>(near)]);
      ring[near % NEAR] = span;
      const uint8_t* end = span.begin + std::min<int64_t>(span.count * (2 + WEIGHT), 512);
      for (const uint8_t* line = span.begin; line < end; line += 64) __builtin_prefetch(line);
    }
  }
}

template <int WEIGHT, bool PARTS>
void add_block_as(const Block& b, int64_t shard, const std::vector<Segment>& segments, const std::vector<double>& parts, int64_t* sums) {
  (b.offset_bytes == 4 ? add_segments<uint32_t, WEIGHT, PARTS, int64_t>
                       : add_segments<uint16_t, WEIGHT, PARTS, int64_t>)(b, shard, segments, parts, b.weight, sums);
}

inline void add_block(const Block& b, int64_t shard, const std::vector<Segment>& segments, const std::vector<double>& parts, int64_t* sums) {
  if (segments.empty()) return;
  switch (b.weight_bytes) {
    case 0: return (b.release ? add_block_as<0, true> : add_block_as<0, false>)(b, shard, segments, parts, sums);
    case 4: return (b.release ? add_block_as<4, true> : add_block_as<4, false>)(b, shard, segments, parts, sums);
    default: return (b.release ? add_block_as<8, true> : add_block_as<8, false>)(b, shard, segments, parts, sums);
  }
}

inline void count_block(const Block& b, int64_t shard, const std::vector<Segment>& segments, int32_t* sums) {
  if (segments.empty()) return;
  const bool wide = b.offset_bytes == 4;
  (wide ? add_segments<uint32_t, 0, false, int32_t> : add_segments<uint16_t, 0, false, int32_t>)(b, shard, segments, {}, 1, sums);
}

// Finds what is due in a step: all of it, what is known a step ahead (over edges with a delay), or the rest.
//
// Weights that change wait for the step itself: `ahead` is for what comes after it, and `rest` for what that has left.
enum class Find { ALL, AHEAD, REST };
inline void find_due(const Stage& stage, const History& history, int64_t step, Find which, Due& due) {
  due.of_block.resize(std::max(due.of_block.size(), static_cast<size_t>(stage.block_count)));
  due.parts.resize(due.of_block.size());
  due.segments = 0;
  for (int64_t i = 0; i < stage.block_count; ++i) {
    const Block& b = stage.blocks[i];
    std::vector<Segment>& segments = due.of_block[static_cast<size_t>(i)];
    std::vector<double>& parts = due.parts[static_cast<size_t>(i)];
    segments.clear(), parts.clear();
    const bool all = which == Find::ALL || b.plasticity;
    if (b.plasticity && which == Find::AHEAD) continue;
    const int64_t least = all || which == Find::REST ? 0 : 1, most = all || which == Find::AHEAD ? INT64_MAX : 0;
    for (int64_t rank = 0; rank < b.ranks; ++rank) {
      const int64_t delay = b.delay[rank];
      if (delay < least || delay > most || !history.spikes(step - delay)) continue;
      fired_in(history.row(step - delay), history.digest(step - delay), b.first_source, b.first_source + b.sources,
               [&](int64_t source) {
                 const int64_t row = source - b.first_source;
                 segments.push_back({static_cast<int32_t>(row), static_cast<int32_t>(rank)});
                 if (b.release) parts.push_back(history.part(step - delay, b.release[row]));
               });
    }
    due.segments += static_cast<int64_t>(segments.size());
  }
}

// Sums of all targets: of weights in quanta or, where a stage counts, of arrivals. All zero between steps.
struct Sums {
  std::vector<int64_t> weights;
  std::vector<int32_t> counts;

  void make_room(const Network& net, const Stage& stage) {
    const size_t targets = static_cast<size_t>(net.targets);
    if (stage.counting) {
      if (counts.size() < targets) counts.assign(targets, 0);
    } else if (weights.size() < targets) {
      weights.assign(targets, 0);
    }
  }
  void clear() {
    std::fill(weights.begin(), weights.end(), 0);
    std::fill(counts.begin(), counts.end(), 0);
  }
};

// Adds noise and what is due to the sums of a shard.
inline void add_shard(const Network& net, const Stage& stage, const Due& due, const Plastic* plastic, bool noise, int64_t step,
                      int64_t shard, Sums& all) {
  const int64_t low = net.shards.first[shard], high = net.shards.first[shard + 1];
  if (stage.counting) {
    for (int64_t i = 0; i < stage.block_count; ++i) {
      count_block(stage.blocks[i], shard, due.of_block[static_cast<size_t>(i)], all.counts.data() + low);
    }
    return;
  }
  int64_t* sums = all.weights.data();
  for (int64_t i = 0; noise && i < stage.noise_count; ++i) add_noise(stage.noise[i], step, low, high, sums + low);
  for (int64_t i = 0; i < stage.block_count; ++i) {
    if (const Block& b = stage.blocks[i]; b.plasticity) {
      for (const Segment& s : plastic ? due.of_block[static_cast<size_t>(i)] : std::vector<Segment>{}) {
        send_segment(b, *plastic, shard, low, s.row, s.rank, step + 1 - b.delay[s.rank], sums + low);
      }
      continue;
    }
    add_block(stage.blocks[i], shard, due.of_block[static_cast<size_t>(i)], due.parts[static_cast<size_t>(i)], sums + low);
  }
}

// What adding takes, in nanoseconds.
inline double work_of(const Network& net, const Stage& stage, const Due& due, bool noise) {
  const double segment = SEGMENT * static_cast<double>(net.shards.count) + EDGE * net.edges_per_segment;
  double work = segment * static_cast<double>(due.segments);
  for (int64_t i = 0; noise && i < stage.noise_count; ++i) {
    work += NOISE * static_cast<double>(stage.noise[i].end - stage.noise[i].begin);
  }
  return work;
}

// int64 -> float64, times the quantum, -> the run's precision; sums are left at zero. No test for zero: a branch that depends on
// who fired is guessed wrong so often that it costs four times what it spares.
//
// The plain form converts 32-bit halves, which every vector unit can; only their sum is rounded.
template <class Float>
SNNRUN_INLINE void hand_out_plain(int64_t* __restrict sums, int64_t count, double quantum, Float* __restrict out) {
  for (int64_t i = 0; i < count; ++i) {
    const int64_t sum = sums[i];
    const double high = static_cast<double>(static_cast<int32_t>(sum >> 32)) * 4294967296.0;
    const double low = static_cast<double>(static_cast<int32_t>(static_cast<uint32_t>(sum) ^ 0x80000000u)) + 2147483648.0;
    out[i] = static_cast<Float>((high + low) * quantum);
    sums[i] = 0;
  }
}
SNNRUN_HOT inline void hand_out_any(int64_t* sums, int64_t count, double quantum, float* out) {
  hand_out_plain(sums, count, quantum, out);
}
SNNRUN_HOT inline void hand_out_any(int64_t* sums, int64_t count, double quantum, double* out) {
  hand_out_plain(sums, count, quantum, out);
}

#ifdef SNNRUN_X86
__attribute__((target("avx512f,avx512dq"))) inline void hand_out_512(int64_t* sums, int64_t count, double quantum, float* out) {
  const __m512i zero = _mm512_setzero_si512();
  const __m512d q = _mm512_set1_pd(quantum);
  int64_t i = 0;
  for (; i + 16 <= count; i += 16) {
    const __m512i a = _mm512_loadu_si512(sums + i), b = _mm512_loadu_si512(sums + i + 8);
    _mm256_storeu_ps(out + i, _mm512_cvtpd_ps(_mm512_mul_pd(_mm512_cvtepi64_pd(a), q)));
    _mm256_storeu_ps(out + i + 8, _mm512_cvtpd_ps(_mm512_mul_pd(_mm512_cvtepi64_pd(b), q)));
    _mm512_storeu_si512(sums + i, zero), _mm512_storeu_si512(sums + i + 8, zero);
  }
  hand_out_plain(sums + i, count - i, quantum, out + i);
}
__attribute__((target("avx512f,avx512dq"))) inline void hand_out_512(int64_t* sums, int64_t count, double quantum, double* out) {
  int64_t i = 0;
  for (; i + 8 <= count; i += 8) {
    const __m512d value = _mm512_cvtepi64_pd(_mm512_loadu_si512(sums + i));
    _mm512_storeu_pd(out + i, _mm512_mul_pd(value, _mm512_set1_pd(quantum)));
    _mm512_storeu_si512(sums + i, _mm512_setzero_si512());
  }
  hand_out_plain(sums + i, count - i, quantum, out + i);
}
#endif

template <class Float>
inline void hand_out(int64_t* sums, int64_t count, double quantum, Float* out) {
#ifdef SNNRUN_X86
  static const bool wide = __builtin_cpu_supports("avx512dq");
  if (wide) return hand_out_512(sums, count, quantum, out);
#endif
  hand_out_any(sums, count, quantum, out);
}

// The same from counts of 32 bits, half as much to move.
template <class Float>
SNNRUN_INLINE void hand_out_counts_plain(int32_t* __restrict counts, int64_t count, double weight, Float* __restrict out) {
  for (int64_t i = 0; i < count; ++i) {
    out[i] = static_cast<Float>(static_cast<double>(counts[i]) * weight + 0.0);  // nothing is 0, not -0
    counts[i] = 0;
  }
}
SNNRUN_HOT inline void hand_out(int32_t* counts, int64_t count, double weight, float* out) {
  hand_out_counts_plain(counts, count, weight, out);
}
SNNRUN_HOT inline void hand_out(int32_t* counts, int64_t count, double weight, double* out) {
  hand_out_counts_plain(counts, count, weight, out);
}

// Factors on the places of a result: one, or one per row, or one per place; none where there is no address.
struct Factors {
  const void* of;
  int64_t count;
};

// Where what arrives through a receptor goes: into an array of the run's precision; or onto a variable, which has decayed by then.
struct Result {
  void* to;  // [rows, row]
  int64_t places, row;
  bool adds, wide;  // whether to a variable; whether to doubles
  Factors decay, scale;  // of the variable, and of what is added to it; of the variable's type
};

// The factors of a piece of a row, from the place `neuron` on.
template <class T>
struct Piece {
  const T* at = nullptr;
  int64_t stride = 0;

  Piece() = default;
  Piece(const Factors& factors, const Result& result, int64_t neuron) {
    const bool each = factors.count == result.places, rows = factors.count > 1 && !each;
    stride = each;
    at = factors.of ? static_cast<const T*>(factors.of) + (each ? neuron : rows ? neuron / result.row : 0) : nullptr;
  }
  SNNRUN_INLINE T operator[](int64_t i) const { return at[stride * i]; }
};

template <class T, class Float>
SNNRUN_INLINE void decay_and_add_plain(T decay, const Float* __restrict more, int64_t count, T* __restrict to) {
  for (int64_t i = 0; i < count; ++i) to[i] = (decay * to[i] + T(0)) + static_cast<T>(more[i]);
}
SNNRUN_HOT inline void decay_and_add(float decay, const float* more, int64_t count, float* to) {
  decay_and_add_plain(decay, more, count, to);
}
SNNRUN_HOT inline void decay_and_add(float decay, const double* more, int64_t count, float* to) {
  decay_and_add_plain(decay, more, count, to);
}
SNNRUN_HOT inline void decay_and_add(double decay, const float* more, int64_t count, double* to) {
  decay_and_add_plain(decay, more, count, to);
}
SNNRUN_HOT inline void decay_and_add(double decay, const double* more, int64_t count, double* to) {
  decay_and_add_plain(decay, more, count, to);
}
SNNRUN_HOT inline void decay_all(float decay, int64_t count, float* to) {
  for (int64_t i = 0; i < count; ++i) to[i] = decay * to[i] + 0.0f;
}
SNNRUN_HOT inline void decay_all(double decay, int64_t count, double* to) {
  for (int64_t i = 0; i < count; ++i) to[i] = decay * to[i] + 0.0;
}

// A piece of a row of a variable x: x <- (decay x + 0) + scale y, each product rounded; nothing becomes -0.
template <class T>
struct Onto {
  T* to = nullptr;
  Piece<T> decay, scale;

  Onto() = default;
  Onto(const Result& result, int64_t neuron)
      : to(static_cast<T*>(result.to) + neuron), decay(result.decay, result, neuron), scale(result.scale, result, neuron) {}

  void relax(int64_t count) const {
    if (!decay.stride) return decay_all(*decay.at, count, to);
    for (int64_t i = 0; i < count; ++i) to[i] = decay[i] * to[i] + T(0);
  }
  template <class Float>
  SNNRUN_INLINE void add(int64_t i, Float value) const {
    T more = static_cast<T>(value);
    if (scale.at) more = more * scale[i];
    to[i] = to[i] + more;
  }
  template <class Float>
  void relax_and_add(int64_t begin, int64_t count, const Float* values) const {
    if (!decay.stride && !scale.at) return decay_and_add(*decay.at, values, count, to + begin);
    for (int64_t i = begin; i < begin + count; ++i) {
      to[i] = decay[i] * to[i] + T(0);
      add(i, values[i - begin]);
    }
  }
};

// Hands out sums, which are left at zero.
template <class Float, class T, class Sum>
inline void add_out(Sum* sums, int64_t count, double quantum, const Onto<T>& onto) {
  constexpr int64_t PART = 512;
  Float values[PART];
  for (int64_t begin = 0; begin < count; begin += PART) {
    const int64_t n = std::min(PART, count - begin);
    hand_out(sums + begin, n, quantum, values);
    onto.relax_and_add(begin, n, values);
  }
}

template <class Float, class Sum>
inline void hand_over(Sum* sums, int64_t count, double quantum, const Result& result, int64_t neuron) {
  if (!result.adds) return hand_out(sums, count, quantum, static_cast<Float*>(result.to) + neuron);
  result.wide ? add_out<Float>(sums, count, quantum, Onto<double>(result, neuron))
              : add_out<Float>(sums, count, quantum, Onto<float>(result, neuron));
}

// Calls f(source, pre) for the sources of a procedural pathway that fired in a row.
template <class F>
void fired_of(const Procedural& p, const History& history, int64_t step, F&& f) {
  for (int64_t r = 0; r < p.source_runs; ++r) {
    const Run& run = p.sources[r];
    fired_in(history.row(step), history.digest(step), run.first, run.first + run.size,
             [&](int64_t source) { f(source - run.first + run.index); });
  }
}

// Places of the targets of some edges; with a few runs this is faster than a table, which does not fit into a cache.
inline void targets_of(const Procedural& p, const Edges& edges, int64_t* places) {
  if (p.target_runs > 16) {
    for (int e = 0; e < edges.count; ++e) places[e] = p.pathway.target[edges.post[e]];
    return;
  }
  for (int e = 0; e < edges.count; ++e) places[e] = edges.post[e] + p.targets[0].first;
  for (int64_t r = 1; r < p.target_runs; ++r) {
    const int64_t index = p.targets[r].index, shift = p.targets[r].first - index;
    for (int e = 0; e < edges.count; ++e) places[e] = edges.post[e] >= index ? edges.post[e] + shift : places[e];
  }
}

// Arrivals of a stage's procedural pathways. Rows are drawn once, by whichever thread is free, and added with atomic additions,
// whose order does not matter to integers. With drawn delays a row is drawn when its source has fired, in step `newest`; what is
// due later waits.
inline void add_procedural(const Network& net, const Stage& stage, const History& history, int64_t step, int64_t newest,
                           int64_t* sums, int64_t* pending, bool taken) {
  static thread_local std::vector<int64_t> rows;
  for (int64_t i = 0; i < stage.procedural_count; ++i) {
    const Procedural& procedural = stage.procedural[i];
    const Pathway& p = procedural.pathway;
    const bool drawn = p.delay_law != nullptr;
    const int64_t sent = drawn ? newest : step - std::max(p.delay, p.least_delay);
    if (!history.spikes(sent)) continue;
    rows.clear();
    fired_of(procedural, history, sent, [&](int64_t pre) { rows.push_back(pre); });
    const bool little = static_cast<double>(rows.size()) * procedural.edges_per_row * DRAWN_EDGE < net.worth_sharing;
    const bool alone = rows.size() == 1 || net.threads == 1 || little;
    const std::vector<int64_t>& mine = rows;
    Workers::get().run(alone ? 1 : static_cast<int>(net.threads), static_cast<int64_t>(mine.size()), [&](int64_t r) {
      const int64_t pre = mine[static_cast<size_t>(r)];
      const double part = procedural.release ? history.part(sent, procedural.release[pre]) : 1.0;
      edges_of_rows(p, pre, pre + 1, [&](const Edges& edges) {
        int64_t weight[BATCH], delay[BATCH], place[BATCH];
        int64_t* sum[BATCH];
        weights_of(p, edges, weight);
        for (int e = 0; procedural.release && e < edges.count; ++e) weight[e] = scaled(weight[e], part);
        if (drawn) delays_of(p, edges, delay);
        targets_of(procedural, edges, place);
        for (int e = 0; e < edges.count; ++e) {
          int64_t* to = sums;
          if (drawn) to = pending + history.place(newest + std::max(delay[e], p.least_delay)) * net.targets;
          sum[e] = to + place[e];
          __builtin_prefetch(sum[e], 1);
        }
        if (alone) {
          for (int e = 0; e < edges.count; ++e) *sum[e] += weight[e];
        } else {
          for (int e = 0; e < edges.count; ++e) __atomic_fetch_add(sum[e], weight[e], __ATOMIC_RELAXED);
        }
      });
    }, taken);
  }
}

// What arrives in the step after this one, as far as it is known already, is added while XLA is busy with that step's neurons:
// noise, and all edges with a delay. There is one such look ahead in a process, and it holds the threads meanwhile.
struct Ahead {
  const Network* network = nullptr;
  int64_t step = 0;
  Sums sums;
  Due due;

  static Ahead& get() {
    static Ahead* ahead = new Ahead;  // never destroyed, like the threads
    return *ahead;
  }
  void operator()(int64_t shard) { add_shard(*network, network->stages[1], due, nullptr, true, step, shard, sums); }
};

}  // namespace detail

// Begins to add what arrives in a step. Its predecessor is the last step that the history holds, and the call for the step itself
// must follow with the same history, by whose address it is known to belong to this one.
inline void look_ahead(const Network& net, const History& history, int64_t step) {
  using namespace detail;
  if (net.threads <= 1 || !Workers::get().take(history.bits)) return;
  const Stage& stage = net.stages[1];
  Ahead& ahead = Ahead::get();
  find_due(stage, history, step, Find::AHEAD, ahead.due);
  if (work_of(net, stage, ahead.due, true) < net.worth_sharing) {
    return Workers::get().give_back();
  }
  ahead.network = &net, ahead.step = step;
  ahead.sums.make_room(net, stage);
  Workers::get().begin(static_cast<int>(net.threads), net.shards.count, ahead);
}

namespace detail {

// A receptor as far as it lies in a shard, and where what it receives goes; its variable decays at once.
struct Near {
  int64_t first = 0, end = 0;  // places
  double quantum = 0;
  bool wide = false;
  Onto<float> onto_float;
  Onto<double> onto_double;

  Near() = default;
  Near(const Receptor& whole, const Result& result, int64_t first, int64_t end)
      : first(first), end(end), quantum(whole.quantum), wide(result.wide) {
    const int64_t neuron = whole.neuron + (first - whole.first);
    if (wide) {
      (onto_double = Onto<double>(result, neuron)).relax(end - first);
    } else {
      (onto_float = Onto<float>(result, neuron)).relax(end - first);
    }
  }
};

// Adds what few edges have brought a shard, of which all else is zero: they are gone through once more. An edge whose target has
// been seen before finds nothing left.
template <class Float, class Sum>
inline void hand_over_few(const Network& net, const Stage& stage, const Due& due, int64_t shard, Sum* sums,
                          const Result* results) {
  const int64_t low = net.shards.first[shard], high = net.shards.first[shard + 1];
  Near mine[FEW_RECEPTORS];
  int64_t n = 0;
  for (int64_t r = 0; r < stage.receptor_count; ++r) {
    const Receptor& whole = stage.receptors[r];
    const int64_t begin = std::max(whole.first, low), end = std::min(whole.first + whole.size, high);
    if (begin >= end) continue;
    mine[n++] = Near(whole, results[whole.result], begin, end);
  }
  std::sort(mine, mine + n, [](const Near& a, const Near& b) { return a.first < b.first; });
  for (int64_t i = 0; i < stage.block_count; ++i) {
    const Block& b = stage.blocks[i];
    const int64_t record = 2 + b.weight_bytes;
    for (const Segment& segment : due.of_block[static_cast<size_t>(i)]) {
      const Span span = b.offset_bytes == 4 ? span_of<uint32_t>(b, shard, segment) : span_of<uint16_t>(b, shard, segment);
      const auto place_of = [&](int64_t e) {
        uint16_t target;
        std::memcpy(&target, span.begin + e * record, 2);
        return low + target;
      };
      const Near* near = mine;  // edges are in the order of their targets, or nearly so
      for (int64_t e = 0; e < span.count;) {
        if (place_of(e) < near->first) near = mine;
        while (place_of(e) >= near->end) ++near;
        const int64_t first = near->first, end = near->end;
        const double quantum = near->quantum;
        const auto add = [&](auto onto) {  // a copy, which what is written does not change: it stays in registers
          for (; e < span.count; ++e) {
            const int64_t place = place_of(e);
            if (place < first || place >= end) return;
            const Float value = static_cast<Float>(static_cast<double>(sums[place]) * quantum + 0.0);
            sums[place] = 0;
            onto.add(place - first, value);
          }
        };
        near->wide ? add(near->onto_double) : add(near->onto_float);
      }
    }
  }
}

}  // namespace detail

// What arrives at the end of a step through the receptors of a stage, in units. `newest` is the last row that the history holds:
// that of the step before for jumps, that of the step itself for arrivals. `pending` is int64 [depth, targets] where
// procedural pathways have drawn delays: what is due in this step and later; what is handed out leaves it.
template <class Float>
void arrivals(const Network& net, int which, const History& history, int64_t step, int64_t* pending,
              const detail::Result* results) {
  using namespace detail;
  const Stage& stage = net.stages[which];
  static thread_local Sums own;
  static thread_local Due due_now;
  Ahead& ahead = Ahead::get();
  bool begun = which == 1 && Workers::get().taken_by(history.bits);
  if (begun) {
    Workers::get().finish();
    begun = ahead.network == &net && ahead.step == step;
    if (!begun) {  // of a run that broke off
      ahead.sums.clear();
      Workers::get().give_back();
    }
  }
  own.make_room(net, stage);
  Sums& all = begun ? ahead.sums : own;
  int64_t* const weights = all.weights.data();
  if (stage.procedural_count) add_procedural(net, stage, history, step, step - 1 + which, weights, pending, begun);
  find_due(stage, history, step, begun ? Find::REST : Find::ALL, due_now);
  const Due& due = due_now;
  const bool share = work_of(net, stage, due, !begun) + SUM * static_cast<double>(net.targets) >= net.worth_sharing;
  // where few edges are due, the places that they do not reach are left alone
  const bool few = which == 1 && !begun && !pending && !stage.noise_count && !stage.procedural_count && stage.few && stage.results && results->adds &&
                   FEW * static_cast<double>(due.segments) * net.edges_per_segment * static_cast<double>(net.shards.count) <
                       static_cast<double>(net.targets);
  Workers::get().run(share ? static_cast<int>(net.threads) : 1, net.shards.count, [&](int64_t shard) {
    const int64_t low = net.shards.first[shard], high = net.shards.first[shard + 1];
    add_shard(net, stage, due, history.plastic, !begun, step, shard, all);
    if (few) {
      return stage.counting ? hand_over_few<Float>(net, stage, due, shard, all.counts.data(), results)
                            : hand_over_few<Float>(net, stage, due, shard, weights, results);
    }
    for (int64_t r = 0; r < stage.receptor_count; ++r) {
      const Receptor& receptor = stage.receptors[r];
      const int64_t begin = std::max(receptor.first, low), end = std::min(receptor.first + receptor.size, high);
      if (begin >= end) continue;
      if (pending && !stage.counting) {
        int64_t* waiting = pending + history.place(step) * net.targets;
        for (int64_t t = begin; t < end; ++t) weights[t] += waiting[t], waiting[t] = 0;
      }
      const Result& result = results[receptor.result];
      const int64_t neuron = receptor.neuron + (begin - receptor.first);
      if (stage.counting) {
        hand_over<Float>(all.counts.data() + begin, end - begin, receptor.quantum, result, neuron);
      } else {
        hand_over<Float>(weights + begin, end - begin, receptor.quantum, result, neuron);
      }
    }
  }, begun);
  if (begun) Workers::get().give_back();
}

// Brings the weights of a stage up to date; `until` is the end of the last step whose arrivals have been worked on.
inline void refresh(const Network& net, int which, const Plastic& state, int64_t until) {
  const Stage& stage = net.stages[which];
  const bool jumps = which == 0;
  bool any = false;
  for (int64_t i = 0; i < stage.block_count; ++i) any = any || stage.blocks[i].plasticity;
  if (any) Workers::get().run(static_cast<int>(net.threads), net.shards.count, [&](int64_t shard) {
    for (int64_t i = 0; i < stage.block_count; ++i) {
      const Block& b = stage.blocks[i];
      if (!b.plasticity) continue;
      (state.targets.width > 2 ? detail::refresh_block<3> : detail::refresh_block<2>)(b, *b.plasticity, state, net.shards.first, shard,
                                                                                       until);
    }
  });
  state.seen[jumps] = until;
}

// Which spikes of targets are wanted from now on: those that a synapse has not seen, and the one before them (-1 where there is none:
// then a place of the ring stays free, for all who look for what was before).
inline void forget(const Plastic& state, int64_t longest) {
  const int64_t seen = std::min(state.seen[0], state.seen[1]) - 2 * longest;
  for (int64_t j = 0; j < state.targets.neurons; ++j) {
    int64_t i = std::max(state.needed[j], state.targets.oldest(j) - 1);
    while (i + 1 < state.targets.count[j] && Rings::stamp(state.targets.entry(j, i + 1)) <= seen) ++i;
    state.needed[j] = i;
  }
}

// Spikes of a step that ends at `stamp` go into the rings of plastic projections.
inline void remember(const Network& net, const Plastic& state, const uint32_t* row, int64_t stamp) {
  const PlasticRun* runs = net.plastic_runs;
  const int64_t count = net.plastic_run_count, sources = net.plastic_source_runs;
  const auto each = [&](int64_t first, int64_t end, auto&& f) {
    for (int64_t r = first; r < end; ++r) {
      for (int64_t w = 0; w < runs[r].words; ++w) {
        for (uint32_t bits = row[runs[r].first_word + w]; bits; bits &= bits - 1) f(runs[r], runs[r].place + 32 * w + __builtin_ctz(bits));
      }
    }
  };
  bool full = false;
  each(sources, count, [&](const PlasticRun&, int64_t j) { full = full || state.targets.count[j] - state.targets.room >= state.needed[j]; });
  if (full) {
    refresh(net, 0, state, stamp);      // whose arrivals at this instant have been worked on
    refresh(net, 1, state, stamp - 1);  // and those that come next
    forget(state, net.plastic_longest);
  }
  each(0, sources, [&](const PlasticRun& run, int64_t i) {
    const Plasticity& p = net.plasticities[run.plasticity];
    state.sources.push(i, stamp, p.source, p.source_nearest);
  });
  each(sources, count, [&](const PlasticRun& run, int64_t j) {
    const Plasticity& p = net.plasticities[run.plasticity];
    push_target(state, j, stamp, p.target, p.target_nearest);
  });
}

// The same into arrays of the run's precision.
template <class Float>
void arrivals(const Network& net, int which, const History& history, int64_t step, int64_t* pending, Float* const* out) {
  static thread_local std::vector<detail::Result> results;
  results.clear();
  for (int64_t i = 0; i < net.stages[which].results; ++i) results.push_back({out[i], 0, 0, false, false, {}, {}});
  arrivals<Float>(net, which, history, step, pending, results.data());
}

// Bits of a mask of bytes (0 or 1), 32 to a word, the first neuron in the lowest bit.
inline void pack(const uint8_t* mask, int64_t count, uint32_t* words) {
  for (int64_t w = 0; w < count / 32; ++w) {
    uint32_t bits = 0;
#ifdef SNNRUN_X86
    for (int half = 0; half < 2; ++half) {
      const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(mask + 32 * w + 16 * half));
      bits |= static_cast<uint32_t>(_mm_movemask_epi8(_mm_slli_epi16(bytes, 7))) << 16 * half;
    }
#else
    for (int part = 0; part < 4; ++part) {
      uint64_t eight;
      std::memcpy(&eight, mask + 32 * w + 8 * part, 8);
      bits |= static_cast<uint32_t>((eight * 0x0102040810204080u) >> 56) << 8 * part;
    }
#endif
    words[w] = bits;
  }
}

// The same, of who has reached a threshold: threshold <= value < infinity. The threshold is one for all (`stride` 0) or each
// neuron's own (1).
template <class Float>
SNNRUN_INLINE void pack_reached_plain(const Float* value, const Float* threshold, int64_t stride, int64_t count, uint32_t* words) {
  for (int64_t w = 0; w < count / 32; ++w) {
    uint32_t bits = 0;
    for (int64_t i = 0; i < 32; ++i) {
      const Float v = value[32 * w + i];
      const bool there = (v >= threshold[stride * (32 * w + i)]) & (v < std::numeric_limits<Float>::infinity());
      bits |= static_cast<uint32_t>(there) << i;
    }
    words[w] = bits;
  }
}
#ifdef SNNRUN_X86
__attribute__((target("avx512f"))) inline void pack_reached_512(const float* value, const float* threshold, int64_t stride,
                                                                int64_t count, uint32_t* words) {
  const __m512 one = _mm512_set1_ps(*threshold), infinity = _mm512_set1_ps(std::numeric_limits<float>::infinity());
  for (int64_t w = 0; w < count / 32; ++w) {
    const __m512 low = _mm512_loadu_ps(value + 32 * w), high = _mm512_loadu_ps(value + 32 * w + 16);
    const __m512 low_threshold = stride ? _mm512_loadu_ps(threshold + 32 * w) : one;
    const __m512 high_threshold = stride ? _mm512_loadu_ps(threshold + 32 * w + 16) : one;
    const __mmask16 first = _mm512_cmp_ps_mask(low, low_threshold, _CMP_GE_OQ);
    const __mmask16 second = _mm512_cmp_ps_mask(high, high_threshold, _CMP_GE_OQ);
    words[w] = static_cast<uint32_t>(_mm512_mask_cmp_ps_mask(first, low, infinity, _CMP_LT_OQ)) |
               static_cast<uint32_t>(_mm512_mask_cmp_ps_mask(second, high, infinity, _CMP_LT_OQ)) << 16;
  }
}
__attribute__((target("avx512f"))) inline void pack_reached_512(const double* value, const double* threshold, int64_t stride,
                                                                int64_t count, uint32_t* words) {
  const __m512d one = _mm512_set1_pd(*threshold), infinity = _mm512_set1_pd(std::numeric_limits<double>::infinity());
  for (int64_t w = 0; w < count / 32; ++w) {
    uint32_t bits = 0;
    for (int64_t i = 0; i < 32; i += 8) {
      const __m512d v = _mm512_loadu_pd(value + 32 * w + i), t = stride ? _mm512_loadu_pd(threshold + 32 * w + i) : one;
      const __mmask8 there = _mm512_cmp_pd_mask(v, t, _CMP_GE_OQ);
      bits |= static_cast<uint32_t>(_mm512_mask_cmp_pd_mask(there, v, infinity, _CMP_LT_OQ)) << i;
    }
    words[w] = bits;
  }
}
inline void pack_reached_sse(const float* value, const float* threshold, int64_t stride, int64_t count, uint32_t* words) {
  const __m128 infinity = _mm_set1_ps(std::numeric_limits<float>::infinity());
  for (int64_t w = 0; w < count / 32; ++w) {
    uint32_t bits = 0;
    for (int64_t i = 0; i < 32; i += 4) {
      const __m128 t = stride ? _mm_loadu_ps(threshold + 32 * w + i) : _mm_set1_ps(*threshold);
      const __m128 v = _mm_loadu_ps(value + 32 * w + i);
      bits |= static_cast<uint32_t>(_mm_movemask_ps(_mm_and_ps(_mm_cmpge_ps(v, t), _mm_cmplt_ps(v, infinity)))) << i;
    }
    words[w] = bits;
  }
}
inline void pack_reached_sse(const double* value, const double* threshold, int64_t stride, int64_t count, uint32_t* words) {
  const __m128d infinity = _mm_set1_pd(std::numeric_limits<double>::infinity());
  for (int64_t w = 0; w < count / 32; ++w) {
    uint32_t bits = 0;
    for (int64_t i = 0; i < 32; i += 2) {
      const __m128d t = stride ? _mm_loadu_pd(threshold + 32 * w + i) : _mm_set1_pd(*threshold);
      const __m128d v = _mm_loadu_pd(value + 32 * w + i);
      bits |= static_cast<uint32_t>(_mm_movemask_pd(_mm_and_pd(_mm_cmpge_pd(v, t), _mm_cmplt_pd(v, infinity)))) << i;
    }
    words[w] = bits;
  }
}
#endif
template <class Float>
inline void pack_reached(const Float* value, const Float* threshold, int64_t stride, int64_t count, uint32_t* words) {
#ifdef SNNRUN_X86
  if (vector_bits() == 512) return pack_reached_512(value, threshold, stride, count, words);
  return pack_reached_sse(value, threshold, stride, count, words);
#else
  pack_reached_plain(value, threshold, stride, count, words);
#endif
}

}  // namespace snnrun
