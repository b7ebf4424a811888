// Weights that change with the spikes on both sides of a synapse.
//
// A weight is w = least + range y with y in [0, 1]. Each source and each target of a plastic projection has a *trace* or two, which
// every spike of it raises by 1 (or sets to 1) and which decay. A synapse sees a spike of its source at t + axonal and one of its
// target at s + dendritic, of which one is its delay and the other 0. There, in the order of these times,
//
//     a spike of the target:   y <- y + up (1 - y)^mu_up r1 (up_pair + up_triplet o2)             but at most 1
//                                 (or y^mu_up, with `grows`)
//     a spike of the source:   y <- y - down (y^mu_down o1 (down_pair + down_triplet r2) + ...)    within 0 ... 1, and it is sent
//
// with the traces r of the source and o of the target as they are just before. Where both fall together, that of the target comes
// first, and neither sees the trace of the other.
//
// A weight is worked on when a spike of its source arrives: all spikes of its target since the one before it are gone through. The
// last spikes of every neuron are kept in a ring, with the traces after each. Before a ring would lose one that has not been seen
// by all, all weights are brought up to date; that changes no bit, because each sees the same spikes in the same order.
#pragma once

#include "layout.hpp"

namespace snnrun {

// exp(-n h / tau) of whole n, as a product of two from tables.
constexpr int64_t FINE_BITS = 12, FINE = 1 << FINE_BITS;
struct Fading {
  const double* fine;    // [FINE] n % FINE
  const double* coarse;  // [count] n / FINE; beyond them it is 0
  int64_t count;
  SNNRUN_INLINE double operator()(int64_t n) const {
    if (n < FINE) return fine[n];  // coarse[0] is 1
    const int64_t c = n / FINE;
    return c < count ? fine[n & (FINE - 1)] * coarse[c] : 0.0;
  }
};

struct Plasticity {
  Fading source[2], target[2];
  int64_t source_nearest, target_nearest;  // whether a spike sets its trace to 1
  int64_t axonal;                          // where the delay is
  int64_t jumps;                           // whether its synapses move V
  int64_t grows;                           // whether potentiation grows with the weight, as y^mu_up
  double up, mu_up, up_pair, up_triplet;
  double down, mu_down, down_pair, down_triplet, down_always;
  double least, range;           // in quanta
  int64_t first_weight;          // of the block among all weights
  const int32_t* source_of_row;  // place on the axis of plastic sources
  const int32_t* target_of;      // of each place on the axis of targets: place on that of plastic targets
};

// The last spikes of neurons: a stamp, and the traces after it. A place that no spike has taken yet has the stamp NEVER and no trace.
constexpr double NEVER = -1099511627776.0;  // steps: so long ago that no trace is left

struct Rings {
  double* entries;  // [neurons, room, width]
  int64_t* count;   // [neurons] spikes ever
  int64_t neurons, room, width;  // room is a power of two

  SNNRUN_INLINE double* entry(int64_t neuron, int64_t index) const {
    return entries + (neuron * room + (index & (room - 1))) * width;
  }
  int64_t oldest(int64_t neuron) const { return std::max<int64_t>(0, count[neuron] - room); }
  static SNNRUN_INLINE int64_t stamp(const double* entry) { return static_cast<int64_t>(entry[0]); }

  void push(int64_t neuron, int64_t stamp, const Fading* fading, bool nearest) const {
    const int64_t c = count[neuron]++;
    const double* last = entry(neuron, c - 1);
    double* to = entry(neuron, c);
    const int64_t since = stamp - Rings::stamp(last);
    for (int64_t i = 1; i < width; ++i) to[i] = nearest ? 1.0 : last[i] * fading[i - 1](since) + 1.0;
    to[0] = static_cast<double>(stamp);
  }
};

// The last four spikes of a neuron, the newest first, in a line of a cache: more is seldom looked at.
constexpr int64_t RECENT = 4;

// A run of words of a row of the history, and of places of an axis, of one projection.
struct PlasticRun {
  int64_t first_word, words, place, plasticity;
};

// Everything that a run remembers of its weights, and where it stands.
struct Plastic {
  double* y;        // [weights]
  Rings sources, targets;
  double* recent;   // [plastic targets, width, RECENT]: of the rings of targets, stamps, then traces
  int64_t* needed;  // [plastic targets]: which of its spikes is the first that is still wanted; -1 where none was before these
  int64_t* seen;    // [2] for synapses that act on receptors and those that move V: up to when arrivals have been worked on
};

// A spike of a target.
inline void push_target(const Plastic& state, int64_t target, int64_t stamp, const Fading* fading, bool nearest) {
  const Rings& rings = state.targets;
  rings.push(target, stamp, fading, nearest);
  const double* entry = rings.entry(target, rings.count[target] - 1);
  double* recent = state.recent + target * rings.width * RECENT;
  for (int64_t i = 0; i < rings.width; ++i) {
    double* column = recent + i * RECENT;
    for (int64_t k = RECENT - 1; k > 0; --k) column[k] = column[k - 1];
    column[0] = entry[i];
  }
}

namespace detail {

SNNRUN_INLINE double power(double x, double mu) {
  if (mu == 0.0) return 1.0;
  if (mu == 1.0) return x;
  return x > 0.0 ? exponential(std::max(mu * natural_log(x), -690.0)) : 0.0;
}

SNNRUN_INLINE double within(double y) { return std::min(std::max(y, 0.0), 1.0); }

// What the synapses of a segment (one source, one delay) see, with the times of the target's stamps.
struct Window {
  double time;       // of the source's spike before
  double trace[2];   // after it
  double from, until;  // spikes of the target later than `from` and up to `until` are gone through
};

// y after one of these spikes of a target.
template <int64_t WIDTH, bool ADDITIVE>
SNNRUN_INLINE double raised_by(const Plasticity& p, const Window& window, double y, double stamp, double before, double o2_before) {
  const double r1 = window.trace[0] * p.source[0](static_cast<int64_t>(stamp - window.time));
  double with = p.up_pair;
  if (WIDTH > 2) with = with + p.up_triplet * (o2_before * p.target[1](static_cast<int64_t>(stamp - before)));
  const double change = ADDITIVE ? p.up : p.up * power(p.grows ? y : 1.0 - y, p.mu_up);
  return within(y + change * (r1 * with));
}

// The same with all of them, from a ring; and the stamp and the trace of the last spike before `until`.
template <int64_t WIDTH, bool ADDITIVE>
double raised_by_many(const Plasticity& p, const Rings& targets, int64_t target, double y, const Window& window, double* last, double* o1) {
  const int64_t mask = targets.room - 1;
  const double* ring = targets.entries + target * targets.room * WIDTH;
  int64_t i = targets.count[target] - 1;
  const double* spike = ring + (i & mask) * WIDTH;
  while (spike[0] > window.until) spike = ring + (--i & mask) * WIDTH;
  const double* earlier = spike[0] == window.until ? ring + ((i - 1) & mask) * WIDTH : spike;
  *last = earlier[0], *o1 = earlier[1];
  int64_t unseen = 0;
  for (; spike[0] > window.from; ++unseen) spike = ring + (--i & mask) * WIDTH;
  for (; unseen; --unseen) {
    const double* previous = spike;
    spike = ring + (++i & mask) * WIDTH;
    y = raised_by<WIDTH, ADDITIVE>(p, window, y, spike[0], previous[0], WIDTH > 2 ? previous[WIDTH - 1] : 0.0);
  }
  return y;
}

template <int64_t WIDTH, bool ADDITIVE>
SNNRUN_INLINE double raised(const Plasticity& p, const Plastic& state, int64_t target, double y, const Window& window, double* last,
                            double* o1) {
  const double* s = state.recent + target * WIDTH * RECENT;
  const double* traces = s + RECENT;
  const int64_t later = (s[0] > window.until) + (s[1] > window.until) + (s[2] > window.until) + (s[3] > window.until);
  int64_t unseen = (s[0] > window.from) + (s[1] > window.from) + (s[2] > window.from) + (s[3] > window.from);
  if (unseen == RECENT) return raised_by_many<WIDTH, ADDITIVE>(p, state.targets, target, y, window, last, o1);
  const int64_t earlier = later + (s[later] == window.until);
  *last = s[earlier], *o1 = traces[earlier];
  for (; unseen > later; --unseen) {
    y = raised_by<WIDTH, ADDITIVE>(p, window, y, s[unseen - 1], s[unseen], WIDTH > 2 ? traces[RECENT + unseen] : 0.0);
  }
  return y;
}

template <int64_t WIDTH, bool ADDITIVE>
SNNRUN_INLINE double lowered(const Plasticity& p, double y, double o1, double r2) {
  const double with = WIDTH > 2 ? p.down_pair + p.down_triplet * r2 : p.down_pair;
  const double change = ADDITIVE ? o1 * with : power(y, p.mu_down) * (o1 * with);
  return within(y - p.down * (change + p.down_always));
}

SNNRUN_INLINE int64_t sent(const Plasticity& p, double y) {
#ifdef SNNRUN_X86
  return _mm_cvtsd_si64(_mm_set_sd(p.least + y * p.range));
#else
  return std::llrint(p.least + y * p.range);
#endif
}

// A source's last spike up to a stamp: its number, or -1.
inline int64_t spike_of(const Rings& sources, int64_t source, int64_t stamp) {
  int64_t i = sources.count[source] - 1;
  while (i >= sources.oldest(source) && Rings::stamp(sources.entry(source, i)) > stamp) --i;
  return i >= sources.oldest(source) ? i : -1;
}

// The window after a spike of a source, up to a time at the synapse.
inline Window window_after(const Plasticity& p, const Plastic& state, int64_t source, int64_t number, int64_t until, int64_t axonal,
                       int64_t dendritic) {
  Window window{NEVER, {0.0, 0.0}, static_cast<double>(state.seen[p.jumps] - 2 * dendritic), static_cast<double>(until - dendritic)};
  if (number >= 0) {
    const double* entry = state.sources.entry(source, number);
    window.time = entry[0] + static_cast<double>(axonal - dendritic);
    for (int64_t i = 0; i + 1 < state.sources.width; ++i) window.trace[i] = entry[1 + i];
    window.from = std::max(window.from, window.time);
  }
  return window;
}

// Records of a block: the edges of a row and a delay in a shard.
struct Stretch {
  int64_t begin, end;
};

inline Stretch stretch_of(const Block& b, int64_t shard, int64_t row, int64_t rank) {
  const int64_t* first = b.first_edge + shard * (b.sources + 1) + row;
  if (!b.offsets) return {first[0], first[1]};
  const int64_t at = (shard * b.sources + row) * (b.ranks + 1) + rank;
  if (b.offset_bytes == 4) {
    const auto* offset = static_cast<const uint32_t*>(b.offsets) + at;
    return {first[0] + offset[0], first[0] + offset[1]};
  }
  const auto* offset = static_cast<const uint16_t*>(b.offsets) + at;
  return {first[0] + offset[0], first[0] + offset[1]};
}

// What the edges of a segment have in common. By value where they are gone through, which tells the compiler that it stays as it is.
struct Segmented {
  Window window;
  double r2;
  Stretch edges;
  double* y;
  const int32_t* targets;
  const uint8_t* records;
};

template <int64_t WIDTH, bool ADDITIVE>
SNNRUN_INLINE void send_one(const Plasticity& p, const Plastic& state, const Segmented& s, int64_t e, int64_t* __restrict sums) {
  uint16_t place;
  std::memcpy(&place, s.records + 2 * e, 2);
  double last, o1;
  const double now = raised<WIDTH, ADDITIVE>(p, state, s.targets[place], s.y[e], s.window, &last, &o1);
  const double y = lowered<WIDTH, ADDITIVE>(p, now, o1 * p.target[0](static_cast<int64_t>(s.window.until - last)), s.r2);
  s.y[e] = y;
  sums[place] += sent(p, y);
}

template <int64_t WIDTH, bool ADDITIVE>
void send_edges(const Plasticity p, const Plastic state, const Segmented s, int64_t* __restrict sums) {
  constexpr int64_t FAR = 16;
  for (int64_t e = s.edges.begin; e < s.edges.end; ++e) {
    uint16_t place;
    if (e + FAR < s.edges.end) {  // what a later target has done
      std::memcpy(&place, s.records + 2 * (e + FAR), 2);
      __builtin_prefetch(state.recent + s.targets[place] * WIDTH * RECENT);
    }
    send_one<WIDTH, ADDITIVE>(p, state, s, e, sums);
  }
}

#ifdef SNNRUN_X86
#define SNNRUN_512 __attribute__((target("avx512f,avx512dq,avx512vl")))

SNNRUN_512 inline __m512d faded_512(const Fading& fading, __m512d times) {
  const __m512i n = _mm512_cvttpd_epi64(times);
  if (!_mm512_cmpge_epi64_mask(n, _mm512_set1_epi64(FINE))) return _mm512_i64gather_pd(n, fading.fine, 8);
  const __m512i high = _mm512_srai_epi64(n, FINE_BITS);
  const __mmask8 there = _mm512_cmplt_epi64_mask(high, _mm512_set1_epi64(fading.count));
  const __m512d fine = _mm512_i64gather_pd(_mm512_and_si512(n, _mm512_set1_epi64(FINE - 1)), fading.fine, 8);
  const __m512d coarse = _mm512_mask_i64gather_pd(_mm512_setzero_pd(), there, high, fading.coarse, 8);
  return _mm512_maskz_mul_pd(there, fine, coarse);
}

SNNRUN_512 inline __m512d within_512(__m512d y) {
  return _mm512_min_pd(_mm512_max_pd(y, _mm512_setzero_pd()), _mm512_set1_pd(1.0));
}

// The same as send_edges<2, true>, eight edges at a time: the same operations on each.
SNNRUN_512 inline void send_edges_512(const Plasticity p, const Plastic state, const Segmented s, int64_t* __restrict sums) {
  const __m512d from = _mm512_set1_pd(s.window.from), until = _mm512_set1_pd(s.window.until), time = _mm512_set1_pd(s.window.time);
  const __m512d trace = _mm512_set1_pd(s.window.trace[0]), up = _mm512_set1_pd(p.up), up_pair = _mm512_set1_pd(p.up_pair);
  const __m512d down = _mm512_set1_pd(p.down), down_pair = _mm512_set1_pd(p.down_pair), always = _mm512_set1_pd(p.down_always);
  const __m512d least = _mm512_set1_pd(p.least), range = _mm512_set1_pd(p.range);
  const double* recent = state.recent;
  int64_t e = s.edges.begin;
  for (; e + 8 <= s.edges.end; e += 8) {
    const __m128i places = _mm_loadu_si128(reinterpret_cast<const __m128i*>(s.records + 2 * e));
    const __m256i target = _mm256_i32gather_epi32(s.targets, _mm256_cvtepu16_epi32(places), 4);
    const __m256i at = _mm256_slli_epi32(target, 3);  // 2 * RECENT numbers each
    const __m512d stamp[RECENT] = {_mm512_i32gather_pd(at, recent, 8), _mm512_i32gather_pd(at, recent + 1, 8),
                                   _mm512_i32gather_pd(at, recent + 2, 8), _mm512_i32gather_pd(at, recent + 3, 8)};
    if (_mm512_cmp_pd_mask(stamp[RECENT - 1], from, _CMP_GT_OQ)) {  // more than is at hand
      for (int64_t i = 0; i < 8; ++i) send_one<2, true>(p, state, s, e + i, sums);
      continue;
    }
    __m512d y = _mm512_loadu_pd(s.y + e), last = stamp[RECENT - 1];
    __m256i column = _mm256_set1_epi32(2 * RECENT - 1);
    for (int k = RECENT - 2; k >= 0; --k) {  // the older first
      const __mmask8 before = _mm512_cmp_pd_mask(stamp[k], until, _CMP_LT_OQ);
      last = _mm512_mask_mov_pd(last, before, stamp[k]);
      column = _mm256_mask_mov_epi32(column, before, _mm256_set1_epi32(RECENT + k));
      const __mmask8 seen = _mm512_cmp_pd_mask(stamp[k], from, _CMP_GT_OQ) & _mm512_cmp_pd_mask(stamp[k], until, _CMP_LE_OQ);
      if (!seen) continue;
      const __m512d since = _mm512_maskz_sub_pd(seen, stamp[k], time);
      const __m512d r1 = _mm512_mul_pd(trace, faded_512(p.source[0], since));
      const __m512d changed = _mm512_add_pd(y, _mm512_mul_pd(up, _mm512_mul_pd(r1, up_pair)));
      y = _mm512_mask_mov_pd(y, seen, within_512(changed));
    }
    const __m512d traces = _mm512_i32gather_pd(_mm256_add_epi32(at, column), recent, 8);
    const __m512d o1 = _mm512_mul_pd(traces, faded_512(p.target[0], _mm512_sub_pd(until, last)));
    y = within_512(_mm512_sub_pd(y, _mm512_mul_pd(down, _mm512_add_pd(_mm512_mul_pd(o1, down_pair), always))));
    _mm512_storeu_pd(s.y + e, y);
    alignas(64) int64_t quanta[8];
    alignas(16) uint16_t place[8];
    _mm512_store_si512(quanta, _mm512_cvtpd_epi64(_mm512_add_pd(least, _mm512_mul_pd(y, range))));
    _mm_store_si128(reinterpret_cast<__m128i*>(place), places);
    for (int i = 0; i < 8; ++i) sums[place[i]] += quanta[i];
  }
  for (; e < s.edges.end; ++e) send_one<2, true>(p, state, s, e, sums);
}
#endif

// The edges of a segment, whose source's spike of the stamp `t` arrives: their weights change and are sent.
inline void send_segment(const Block& b, const Plastic& state, int64_t shard, int64_t low, int64_t row, int64_t rank, int64_t t,
                         int64_t* sums) {
  const Plasticity& p = *b.plasticity;
  const int64_t delay = b.delay[rank], axonal = p.axonal ? delay : 0, dendritic = delay - axonal, until = t + axonal;
  const int64_t source = p.source_of_row[row], number = spike_of(state.sources, source, t);
  Segmented s{window_after(p, state, source, number - 1, until, axonal, dendritic), 0.0, stretch_of(b, shard, row, rank),
              state.y + p.first_weight, p.target_of + low, b.records};
  if (state.targets.width > 2) s.r2 = s.window.trace[1] * p.source[1](static_cast<int64_t>(s.window.until - s.window.time));
  const bool additive = p.mu_up == 0.0 && p.mu_down == 0.0;
  if (state.targets.width > 2) return (additive ? send_edges<3, true> : send_edges<3, false>)(p, state, s, sums);
#ifdef SNNRUN_X86
  static const bool wide = __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  if (additive && wide) return send_edges_512(p, state, s, sums);
#endif
  (additive ? send_edges<2, true> : send_edges<2, false>)(p, state, s, sums);
}

// Brings the weights of a block up to date: all that has happened at each synapse up to `until` - dendritic.
template <int64_t WIDTH>
void refresh_block(const Block& b, const Plasticity& p, const Plastic& state, const int64_t* first_place, int64_t shard, int64_t until) {
  const int32_t* targets = p.target_of + first_place[shard];
  double* y = state.y + p.first_weight;
  for (int64_t row = 0; row < b.sources; ++row) {
    for (int64_t rank = 0; rank < b.ranks; ++rank) {
      const Stretch edges = stretch_of(b, shard, row, rank);
      if (edges.begin == edges.end || b.delay[rank] < 0) continue;
      const int64_t delay = b.delay[rank], axonal = p.axonal ? delay : 0, dendritic = delay - axonal;
      const int64_t source = p.source_of_row[row], number = spike_of(state.sources, source, until - delay);
      if (number < 0) continue;  // no spike has arrived, and there is no trace
      const Window window = window_after(p, state, source, number, until - dendritic, axonal, dendritic);
      for (int64_t e = edges.begin; e < edges.end; ++e) {
        uint16_t place;
        std::memcpy(&place, b.records + 2 * e, 2);
        double last, o1;
        y[e] = raised<WIDTH, false>(p, state, targets[place], y[e], window, &last, &o1);
      }
    }
  }
}

}  // namespace detail
}  // namespace snnrun
