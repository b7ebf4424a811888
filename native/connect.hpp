// Connection rules: the twin of snnrun/models/connect.py. An edge is (pre, post) within the selections of its projection, and (entity,
// number), under which its weight and delay are drawn.
#pragma once

#include <vector>

#include "law.hpp"

namespace snnrun {

enum Rule : int32_t { LISTED, ALL_TO_ALL, FIXED_PROB, FIXED_INDEGREE, FIXED_OUTDEGREE, FIXED_TOTAL };

// How the edges of a projection come about, with their places on the merged axes.
struct Pathway {
  Rule rule;
  int32_t multapses;
  int64_t pre, post;        // sizes of the selections
  int64_t n;                // degree or number of edges
  double log_q;             // of fixed_prob: log(1 - p)
  const int32_t* own;       // null where autapses may be; else for each row its own index among the partners, or -1
  const int32_t* source;    // [pre] places
  const int32_t* target;    // [post] places
  const int32_t* listed_pre;  // [n], of a listed pathway
  const int32_t* listed_post;
  const double* weights;    // [n] of a listed pathway, or null
  const int32_t* delays;    // [n] of a listed pathway, or null
  const Law* weight_law;    // null where all have one weight, or weights are listed
  const Law* delay_law;     // in ms
  int64_t weight;           // in quanta, where all have one
  double per_quantum;       // 1 / quantum, a power of two
  int64_t delay;            // steps, where all have one
  double dt;
  int64_t least_delay;      // steps: 1 where a spike without delay acts one step later
  Key key;
};

struct Edges {
  int count = 0;
  int32_t pre[BATCH], post[BATCH];
  uint64_t entity[BATCH], number[BATCH];
};

inline bool by_target(const Pathway& p) { return p.rule == FIXED_INDEGREE; }

// Rows that are drawn independently of one another: sources, targets, or single edges.
inline int64_t rows_of(const Pathway& p) {
  switch (p.rule) {
    case FIXED_INDEGREE: return p.post;
    case FIXED_TOTAL: case LISTED: return p.n;
    default: return p.pre;
  }
}

namespace detail {

template <class Emit>
class Collector {  // hands edges on in batches
 public:
  explicit Collector(Emit& emit) : emit_(emit) {}
  SNNRUN_INLINE void add(int64_t pre, int64_t post, int64_t entity, int64_t number) {
    const int i = edges_.count++;
    edges_.pre[i] = static_cast<int32_t>(pre), edges_.post[i] = static_cast<int32_t>(post);
    edges_.entity[i] = static_cast<uint64_t>(entity), edges_.number[i] = static_cast<uint64_t>(number);
    if (edges_.count == BATCH) flush();
  }
  void flush() {
    if (edges_.count) emit_(edges_);
    edges_.count = 0;
  }

 private:
  Emit& emit_;
  Edges edges_;
};

// Words number start ... start + 2 * pairs - 1 of an entity.
SNNRUN_HOT inline void row_words(Key key, uint64_t entity, uint64_t start, int pairs, uint64_t* words) {
  uint64_t e[BATCH / 2], number[BATCH / 2], first[BATCH / 2], second[BATCH / 2];
  for (int i = 0; i < pairs; ++i) e[i] = entity, number[i] = start / 2 + static_cast<uint64_t>(i);
  blocks(key, e, number, pairs, first, second);
  for (int i = 0; i < pairs; ++i) words[2 * i] = first[i], words[2 * i + 1] = second[i];
}

// Gaps between targets: floor(log(u) / log(1 - p)), at most `most`.
SNNRUN_HOT inline void gaps(const uint64_t* words, int count, double log_q, double most, int64_t* out) {
  for (int i = 0; i < count; ++i) {
    out[i] = static_cast<int64_t>(std::min(std::floor(natural_log(uniform(words[i])) / log_q), most));
  }
}

template <class Emit>
void fixed_prob_row(const Pathway& p, int64_t row, Collector<Emit>& out) {
  const int64_t own = p.own ? p.own[row] : -1;
  uint64_t words[BATCH];
  int64_t gap[BATCH], last = -1, number = 0;
  // the first batch is about as long as the row, so that short rows draw little in vain
  const double left = static_cast<double>(p.post) * -std::expm1(p.log_q);
  int batch = static_cast<int>(std::min(left + 2.0 * std::sqrt(left) + 16.0, static_cast<double>(BATCH))) / 16 * 16;
  for (;;) {
    row_words(p.key, static_cast<uint64_t>(row), static_cast<uint64_t>(number), batch / 2, words);
    gaps(words, batch, p.log_q, static_cast<double>(p.post), gap);
    for (int i = 0; i < batch; ++i, ++number) {
      last += gap[i] + 1;
      if (last >= p.post) return;
      if (last != own) out.add(row, last, row, number);
    }
  }
}

// n partners of a row out of `there`, in the order of their draws; the own index is left out where it is barred.
template <class Add>
void partners(const Pathway& p, int64_t row, int64_t there, std::vector<uint64_t>& seen, Add&& add) {
  const int64_t barred = p.own ? p.own[row] : -1;
  const int64_t candidates = there - (barred >= 0);
  const auto lifted = [&](int64_t pick) { return barred >= 0 && pick >= barred ? pick + 1 : pick; };
  uint64_t words[BATCH];
  if (p.multapses) {
    for (int64_t number = 0; number < p.n; number += BATCH) {
      const int count = static_cast<int>(std::min<int64_t>(BATCH, p.n - number));
      row_words(p.key, static_cast<uint64_t>(row), static_cast<uint64_t>(number), (count + 1) / 2, words);
      for (int i = 0; i < count; ++i) add(lifted(below(words[i], static_cast<uint64_t>(candidates))), number + i);
    }
    return;
  }
  // the first different ones; beyond half of the candidates, those that the first different ones leave out
  const bool complement = 2 * p.n > candidates;
  const int64_t wanted = complement ? candidates - p.n : p.n;
  seen.assign(static_cast<size_t>(candidates + 63) / 64, 0);
  int64_t found = 0;
  for (uint64_t number = 0; found < wanted; number += BATCH) {
    row_words(p.key, static_cast<uint64_t>(row), number, BATCH / 2, words);
    for (int i = 0; i < BATCH && found < wanted; ++i) {
      const uint32_t pick = below(words[i], static_cast<uint64_t>(candidates));
      uint64_t& word = seen[pick / 64];
      const uint64_t bit = 1ull << pick % 64;
      if (word & bit) continue;
      word |= bit;
      if (!complement) add(lifted(pick), found);
      ++found;
    }
  }
  if (!complement) return;
  int64_t number = 0;
  for (int64_t pick = 0; pick < candidates; ++pick) {
    if (!(seen[static_cast<size_t>(pick) / 64] >> pick % 64 & 1)) add(lifted(pick), number++);
  }
}

// The pairs of draws begin ... end - 1 of fixed_total.
template <class Emit>
void fixed_total_rows(const Pathway& p, int64_t begin, int64_t end, Emit& emit);

SNNRUN_HOT inline void draw_pairs(const Pathway& p, Edges& edges, int64_t first) {
  uint64_t attempt[BATCH] = {}, one[BATCH], two[BATCH];
  for (int i = 0; i < edges.count; ++i) edges.entity[i] = static_cast<uint64_t>(first + i), edges.number[i] = 0;
  blocks(p.key, edges.entity, attempt, edges.count, one, two);
  for (int i = 0; i < edges.count; ++i) {
    edges.pre[i] = static_cast<int32_t>(below(one[i], static_cast<uint64_t>(p.pre)));
    edges.post[i] = static_cast<int32_t>(below(two[i], static_cast<uint64_t>(p.post)));
  }
  if (!p.own) return;
  for (int i = 0; i < edges.count; ++i) {  // drawn again where it is an autapse that must not be
    for (uint64_t tries = 1; p.own[edges.pre[i]] == edges.post[i]; ++tries) {
      uint64_t a, b;
      blocks(p.key, edges.entity + i, &tries, 1, &a, &b);
      edges.pre[i] = static_cast<int32_t>(below(a, static_cast<uint64_t>(p.pre)));
      edges.post[i] = static_cast<int32_t>(below(b, static_cast<uint64_t>(p.post)));
    }
  }
}

}  // namespace detail

// Calls emit(Edges&) with all edges of the rows begin ... end - 1, in batches and in order.
template <class Emit>
void edges_of_rows(const Pathway& p, int64_t begin, int64_t end, Emit&& emit) {
  if (p.rule == FIXED_TOTAL || p.rule == LISTED) {
    Edges edges;
    for (int64_t first = begin; first < end; first += BATCH) {
      edges.count = static_cast<int>(std::min<int64_t>(BATCH, end - first));
      if (p.rule == FIXED_TOTAL) {
        detail::draw_pairs(p, edges, first);
      } else {
        std::memcpy(edges.pre, p.listed_pre + first, sizeof(int32_t) * static_cast<size_t>(edges.count));
        std::memcpy(edges.post, p.listed_post + first, sizeof(int32_t) * static_cast<size_t>(edges.count));
        for (int i = 0; i < edges.count; ++i) edges.entity[i] = static_cast<uint64_t>(first + i), edges.number[i] = 0;
      }
      emit(edges);
    }
    return;
  }
  detail::Collector<std::remove_reference_t<Emit>> out(emit);
  std::vector<uint64_t> seen;
  for (int64_t row = begin; row < end; ++row) {
    switch (p.rule) {
      case ALL_TO_ALL: {
        const int64_t own = p.own ? p.own[row] : -1;
        for (int64_t post = 0; post < p.post; ++post) {
          if (post != own) out.add(row, post, row, post);
        }
        break;
      }
      case FIXED_PROB: detail::fixed_prob_row(p, row, out); break;
      case FIXED_OUTDEGREE:
        detail::partners(p, row, p.post, seen, [&](int64_t other, int64_t number) { out.add(row, other, row, number); });
        break;
      case FIXED_INDEGREE:
        detail::partners(p, row, p.pre, seen, [&](int64_t other, int64_t number) { out.add(other, row, row, number); });
        break;
      default: break;
    }
  }
  out.flush();
}

// Delays of some edges in steps, before the least one is applied; false where a law's bounds are not met.
inline bool delays_of(const Pathway& p, const Edges& edges, int64_t* steps) {
  if (!p.delay_law) {
    for (int i = 0; i < edges.count; ++i) steps[i] = p.delays ? p.delays[edges.entity[i]] : p.delay;
    return true;
  }
  double times[BATCH];
  if (!draw(*p.delay_law, edges.entity, edges.number, edges.count, times)) return false;
  for (int i = 0; i < edges.count; ++i) steps[i] = static_cast<int64_t>(std::floor(times[i] / p.dt + 0.5));
  return true;
}

// Weights of some edges in quanta.
inline bool weights_of(const Pathway& p, const Edges& edges, int64_t* quanta) {
  if (!p.weight_law && !p.weights) {
    std::fill(quanta, quanta + edges.count, p.weight);
    return true;
  }
  double weights[BATCH];
  if (p.weight_law) {
    if (!draw(*p.weight_law, edges.entity, edges.number, edges.count, weights)) return false;
  } else {
    for (int i = 0; i < edges.count; ++i) weights[i] = p.weights[edges.entity[i]];
  }
  for (int i = 0; i < edges.count; ++i) quanta[i] = static_cast<int64_t>(std::nearbyint(weights[i] * p.per_quantum));
  return true;
}

}  // namespace snnrun
