// Weights that change with the spikes on both sides of a synapse.
//
// A weight is w = least + range y with y in [0, 1]. Each source and each target of a plastic projection has a *trace* or two, which
// every spike of it raises by 1 (or sets to 1) and which decay. A synapse sees a spike of its source at t + axonal and one of its
// target at s + dendritic, of which one is its delay and the other 0. There, in the order of these times,
//
//     a spike of the target:   y <- y + up (1 - y)^mu_up r1 (up_pair + up_triplet o2)             but at most 1
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
struct Fading {
  const double* fine;    // [1024] n % 1024
  const double* coarse;  // [count] n / 1024; beyond them it is 0
  int64_t count;
  SNNRUN_INLINE double operator()(int64_t n) const {
    const int64_t c = n >> 10;
    return c < count ? fine[n & 1023] * coarse[c] : 0.0;
  }
};

struct Plasticity {
  Fading source[2], target[2];
  int64_t source_nearest, target_nearest;  // whether a spike sets its trace to 1
  int64_t axonal;                          // where the delay is
  int64_t jumps;                           // whether its synapses move V
  double up, mu_up, up_pair, up_triplet;
  double down, mu_down, down_pair, down_triplet, down_always;
  double least, range;           // in quanta
  int64_t first_weight;          // of the block among all weights
  const int32_t* source_of_row;  // place on the axis of plastic sources
  const int32_t* target_of;      // of each place on the axis of targets: place on that of plastic targets
};

// The last spikes of neurons: a stamp, and the traces after it.
struct Rings {
  double* entries;  // [neurons, room, width]
  int64_t* count;   // [neurons] spikes ever
  int64_t neurons, room, width;  // room is a power of two

  double* entry(int64_t neuron, int64_t index) const { return entries + (neuron * room + (index & (room - 1))) * width; }
  int64_t oldest(int64_t neuron) const { return std::max<int64_t>(0, count[neuron] - room); }
  static int64_t stamp(const double* entry) { return static_cast<int64_t>(entry[0]); }

  void push(int64_t neuron, int64_t stamp, const Fading* fading, bool nearest) const {
    const int64_t c = count[neuron]++;
    double* to = entry(neuron, c);
    double traces[2] = {1.0, 1.0};
    if (c > 0 && !nearest) {
      const double* last = entry(neuron, c - 1);
      const int64_t since = stamp - Rings::stamp(last);
      for (int64_t i = 0; i + 1 < width; ++i) traces[i] = last[1 + i] * fading[i](since) + 1.0;
    }
    to[0] = static_cast<double>(stamp);
    for (int64_t i = 0; i + 1 < width; ++i) to[1 + i] = traces[i];
  }
};

// A run of words of a row of the history, and of places of an axis, of one projection.
struct PlasticRun {
  int64_t first_word, words, place, plasticity;
};

// Everything that a run remembers of its weights, and where it stands.
struct Plastic {
  double* y;        // [weights]
  Rings sources, targets;
  int64_t* needed;  // [plastic targets]: which of its spikes is the first that is still wanted
  int64_t* seen;    // [2] for synapses that act on receptors and those that move V: up to when arrivals have been worked on
};

namespace detail {

SNNRUN_INLINE double power(double x, double mu) {
  if (mu == 0.0) return 1.0;
  if (mu == 1.0) return x;
  return x > 0.0 ? exponential(std::max(mu * natural_log(x), -690.0)) : 0.0;
}

SNNRUN_INLINE double within(double y) { return std::min(std::max(y, 0.0), 1.0); }

// What a synapse of a segment (one source, one delay) needs of its source.
struct Before {
  int64_t time;    // of the source's spike before, at the synapse
  double trace[2];  // after it
  int64_t from;    // spikes of the target up to this time have been worked on
};

// y after the spikes of a target at the synapse later than `before.from`, up to `until`; and the last of them before `until`.
SNNRUN_INLINE double raised(const Plasticity& p, const Rings& targets, int64_t target, double y, const Before& before, int64_t until,
                            int64_t dendritic, const double** last) {
  const int64_t oldest = targets.oldest(target);
  int64_t i = targets.count[target] - 1;
  while (i >= oldest && Rings::stamp(targets.entry(target, i)) + dendritic > until) --i;
  const int64_t newest = i;
  int64_t earlier = newest;
  if (earlier >= oldest && Rings::stamp(targets.entry(target, earlier)) + dendritic == until) --earlier;
  *last = earlier >= oldest ? targets.entry(target, earlier) : nullptr;
  while (i >= oldest && Rings::stamp(targets.entry(target, i)) + dendritic > before.from) --i;
  for (++i; i <= newest; ++i) {
    const double* spike = targets.entry(target, i);
    const double r1 = before.trace[0] * p.source[0](Rings::stamp(spike) + dendritic - before.time);
    double with = p.up_pair;
    if (p.up_triplet != 0.0 && i > 0) {
      const double* previous = targets.entry(target, i - 1);
      with = with + p.up_triplet * (previous[2] * p.target[1](Rings::stamp(spike) - Rings::stamp(previous)));
    }
    y = within(y + (p.up * power(1.0 - y, p.mu_up)) * (r1 * with));
  }
  return y;
}

SNNRUN_INLINE double lowered(const Plasticity& p, double y, double o1, double r2) {
  const double with = p.down_pair + p.down_triplet * r2;
  return within(y - p.down * (power(y, p.mu_down) * (o1 * with) + p.down_always));
}

SNNRUN_INLINE int64_t sent(const Plasticity& p, double y) {
#ifdef SNNRUN_X86
  return _mm_cvtsd_si64(_mm_set_sd(p.least + y * p.range));
#else
  return std::llrint(p.least + y * p.range);
#endif
}

// A source's spike of some stamp, or the last one up to it where `exact` is false: its number, or -1.
inline int64_t spike_of(const Rings& sources, int64_t source, int64_t stamp) {
  int64_t i = sources.count[source] - 1;
  while (i >= sources.oldest(source) && Rings::stamp(sources.entry(source, i)) > stamp) --i;
  return i >= sources.oldest(source) ? i : -1;
}

inline Before before_of(const Plasticity& p, const Plastic& state, int64_t source, int64_t number, int64_t axonal, int64_t dendritic) {
  Before before{-1, {0.0, 0.0}, state.seen[p.jumps] - dendritic};
  if (number >= 0) {
    const double* entry = state.sources.entry(source, number);
    before.time = Rings::stamp(entry) + axonal;
    for (int64_t i = 0; i + 1 < state.sources.width; ++i) before.trace[i] = entry[1 + i];
    before.from = std::max(before.from, before.time);
  }
  return before;
}

// The edges of a segment, whose source's spike of the stamp `t` arrives: their weights change and are sent.
template <class Offset>
void send_segment(const Block& b, const Plasticity& p, const Plastic& state, int64_t shard, int64_t low, int64_t row, int64_t rank,
                  int64_t t, int64_t* sums) {
  const int64_t delay = b.delay[rank], axonal = p.axonal ? delay : 0, dendritic = delay - axonal, until = t + axonal;
  const int64_t source = p.source_of_row[row], number = spike_of(state.sources, source, t);
  const Before before = before_of(p, state, source, number - 1, axonal, dendritic);
  const double r2 = p.down_triplet != 0.0 && number > 0 ? before.trace[1] * p.source[1](until - before.time) : 0.0;
  const int64_t* first = b.first_edge + shard * (b.sources + 1) + row;
  int64_t begin = first[0], end = first[1];
  if (b.offsets) {
    const Offset* offset = static_cast<const Offset*>(b.offsets) + (shard * b.sources + row) * (b.ranks + 1) + rank;
    begin = first[0] + offset[0], end = first[0] + static_cast<int64_t>(offset[1]);
  }
  double* y = state.y + p.first_weight;
  const int32_t* targets = p.target_of + low;
  constexpr int64_t FAR = 12;
  for (int64_t e = begin; e < end; ++e) {
    uint16_t place;
    if (e + FAR < end) {  // where the rings of later targets are
      std::memcpy(&place, b.records + 2 * (e + FAR), 2);
      const int64_t later = targets[place];
      __builtin_prefetch(state.targets.entry(later, state.targets.count[later] - 1));
    }
    std::memcpy(&place, b.records + 2 * e, 2);
    const int64_t target = targets[place];
    const double* last;
    const double now = raised(p, state.targets, target, y[e], before, until, dendritic, &last);
    const double o1 = last ? last[1] * p.target[0](until - dendritic - Rings::stamp(last)) : 0.0;
    y[e] = lowered(p, now, o1, r2);
    sums[place] += sent(p, y[e]);
  }
}

// Brings the weights of a block up to date: all that has happened at each synapse up to `until` - dendritic.
inline void refresh_block(const Block& b, const Plasticity& p, const Plastic& state, const int64_t* first_place, int64_t shard,
                          int64_t until) {
  const int32_t* targets = p.target_of + first_place[shard];
  double* y = state.y + p.first_weight;
  for (int64_t row = 0; row < b.sources; ++row) {
    const int64_t* first = b.first_edge + shard * (b.sources + 1) + row;
    if (first[0] == first[1]) continue;
    for (int64_t rank = 0; rank < b.ranks; ++rank) {
      int64_t begin = first[0], end = first[1];
      if (b.offsets) {
        const int64_t at = (shard * b.sources + row) * (b.ranks + 1) + rank;
        const bool wide = b.offset_bytes == 4;
        begin = first[0] + (wide ? static_cast<const uint32_t*>(b.offsets)[at] : static_cast<const uint16_t*>(b.offsets)[at]);
        end = first[0] + (wide ? static_cast<const uint32_t*>(b.offsets)[at + 1] : static_cast<const uint16_t*>(b.offsets)[at + 1]);
      }
      if (begin == end || b.delay[rank] < 0) continue;
      const int64_t delay = b.delay[rank], axonal = p.axonal ? delay : 0, dendritic = delay - axonal;
      const int64_t source = p.source_of_row[row], number = spike_of(state.sources, source, until - delay);
      if (number < 0) continue;  // no spike has arrived, and there is no trace
      const Before before = before_of(p, state, source, number, axonal, dendritic);
      for (int64_t e = begin; e < end; ++e) {
        uint16_t place;
        std::memcpy(&place, b.records + 2 * e, 2);
        const double* last;
        y[e] = raised(p, state.targets, targets[place], y[e], before, until - dendritic, dendritic, &last);
      }
    }
  }
}

}  // namespace detail
}  // namespace snnrun
