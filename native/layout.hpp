// Stored edges, arranged for delivery, and how they get there.
//
// The axis of targets is cut into shards of at most 65,536 places, so that a target takes two bytes; each has its share of every
// receptor, so that threads have about the same to do whoever fires. A *block* holds edges that are stored alike: for each shard,
// row (source) and delay a contiguous segment of records, each a target within its shard and, unless all edges of the block have
// one weight, a weight of four or eight bytes.
//
// Edges are drawn twice: first they are counted, then each is put where it belongs. Nothing is held in between, so building
// needs hardly more memory than the result.
#pragma once

#include <atomic>

#include "connect.hpp"

namespace snnrun {

struct Plasticity;

struct Block {
  int64_t first_source, sources;  // the rows
  int64_t weight;                 // in quanta, where all edges have one
  int64_t weight_bytes;           // 0, 4 or 8
  int64_t ranks;                  // distinct delays
  const int64_t* delay;           // [ranks] in steps, ascending; -1 for one that no edge has
  const int32_t* rank;            // [longest delay + 1] of each delay, or -1
  int64_t longest;                // delay that has a rank
  int64_t* first_edge;            // [shards, sources + 1] number of a row's first edge
  void* offsets;                  // [shards, sources, ranks + 1] first edge of a segment within its row; null for one delay
  int64_t offset_bytes;           // 2 or 4
  uint8_t* records;               // [edges, 2 + weight_bytes]
  const int32_t* release;         // [rows] place on the axis of releases; null where a spike carries the whole weight
  const Plasticity* plasticity;   // where weights change: they are no part of the records then
};

struct Shards {
  int64_t count;
  const int64_t* first;  // [count + 1] places
};

// What a pass over the edges of a pathway found.
struct Found {
  int64_t edges = 0, shortest = INT64_MAX, longest = INT64_MIN;  // delays in steps, before the least one is applied
  int64_t negative_delays = 0, negative_weights = 0;
  int64_t unmet = 0;  // 1 where the bounds of a weight are never met, 2 where those of a delay are not
};

namespace detail {

inline int shard_of(const Shards& shards, int64_t target) {
  int low = 0;
  for (int high = static_cast<int>(shards.count); high - low > 1;) {
    const int middle = (low + high) / 2;
    (target >= shards.first[middle] ? low : high) = middle;
  }
  return low;
}

// Calls f(Edges&) for a part of the pathway's edges. Parts of a pathway never touch the same row in the same shard: they are
// ranges of sources where rows are sources, and shards otherwise.
template <class F>
void part_of(const Pathway& p, const Shards& shards, int64_t part, int64_t parts, F&& f) {
  if (p.rule != FIXED_TOTAL && p.rule != LISTED && p.rule != FIXED_INDEGREE) {
    const int64_t rows = rows_of(p);
    return edges_of_rows(p, rows * part / parts, rows * (part + 1) / parts, f);
  }
  for (int64_t s = shards.count * part / parts; s < shards.count * (part + 1) / parts; ++s) {
    const int64_t low = shards.first[s], high = shards.first[s + 1];
    if (p.rule == FIXED_INDEGREE) {  // rows are targets: those of this shard
      for (int64_t row = 0; row < p.post;) {
        if (p.target[row] < low || p.target[row] >= high) {
          ++row;
          continue;
        }
        int64_t end = row;
        while (end < p.post && p.target[end] >= low && p.target[end] < high) ++end;
        edges_of_rows(p, row, end, f);
        row = end;
      }
      continue;
    }
    edges_of_rows(p, 0, rows_of(p), [&](Edges& edges) {
      int kept = 0;
      for (int i = 0; i < edges.count; ++i) {
        const int64_t target = p.target[edges.post[i]];
        edges.pre[kept] = edges.pre[i], edges.post[kept] = edges.post[i];
        edges.entity[kept] = edges.entity[i], edges.number[kept] = edges.number[i];
        kept += target >= low && target < high;
      }
      const int whole = edges.count;
      edges.count = kept;
      if (kept) f(edges);
      edges.count = whole;
    });
  }
}

// One record.
inline void put(uint8_t* record, int64_t weight_bytes, uint16_t target, int64_t weight) {
  std::memcpy(record, &target, 2);
  if (weight_bytes == 4) {
    const int32_t narrow = static_cast<int32_t>(weight);
    std::memcpy(record + 2, &narrow, 4);
  } else if (weight_bytes == 8) {
    std::memcpy(record + 2, &weight, 8);
  }
}

// Where some edges belong: the counter of each one's segment, and what it counts from. All memory that will be touched is asked
// for before any of it is used, because it is seldom in a cache.
template <class Counter>
struct Places {
  Counter* counter[BATCH];
  int64_t first[BATCH];
  uint16_t target[BATCH];
  Counter nowhere = 0;  // counts edges whose delay has no rank

  void find(const Pathway& p, const Block& block, const Shards& shards, const Edges& edges, const int64_t* delay) {
    for (int i = 0; i < edges.count; ++i) {
      const int64_t to = p.target[edges.post[i]], shard = shard_of(shards, to);
      const int64_t row = p.source[edges.pre[i]] - block.first_source;
      target[i] = static_cast<uint16_t>(to - shards.first[shard]);
      int64_t* edge = block.first_edge + shard * (block.sources + 1) + row;
      if constexpr (sizeof(Counter) == 4) {
        const int64_t steps = std::max(delay[i], p.least_delay);
        const bool inside = delay[i] >= 0 && steps <= block.longest;
        auto* offsets = static_cast<uint32_t*>(block.offsets) + (shard * block.sources + row) * (block.ranks + 1);
        counter[i] = inside ? offsets + block.rank[steps] + 1 : &nowhere;
        first[i] = *edge;
      } else {
        counter[i] = edge + 1;
        first[i] = 0;
      }
      __builtin_prefetch(counter[i], 1);
    }
  }
};

// Delays of some edges, and what is to be said of them.
inline bool delays_found(const Pathway& p, const Edges& edges, Found& found, int64_t* delay) {
  found.edges += edges.count;
  if (!delays_of(p, edges, delay)) {
    found.unmet = 2;
    return false;
  }
  for (int i = 0; i < edges.count; ++i) {
    found.shortest = std::min(found.shortest, delay[i]), found.longest = std::max(found.longest, delay[i]);
    found.negative_delays += delay[i] < 0;
  }
  return true;
}

}  // namespace detail

// The delays of a part of a pathway.
inline Found survey(const Pathway& p, const Shards& shards, int64_t part, int64_t parts) {
  Found found;
  detail::part_of(p, shards, part, parts, [&](const Edges& edges) {
    int64_t delay[BATCH];
    detail::delays_found(p, edges, found, delay);
  });
  return found;
}

// Adds to each segment's counter: offsets[shard, row, 1 + rank] or, with one delay, first_edge[shard, row + 1]. Edges with a
// delay that has no rank are left out, and found.
template <class Counter>
Found count_as(const Pathway& p, const Block& block, const Shards& shards, int64_t part, int64_t parts) {
  Found found;
  detail::Places<Counter> at;
  detail::part_of(p, shards, part, parts, [&](const Edges& edges) {
    int64_t delay[BATCH];
    if (!detail::delays_found(p, edges, found, delay)) return;
    at.find(p, block, shards, edges, delay);
    for (int i = 0; i < edges.count; ++i) ++*at.counter[i];
  });
  return found;
}

inline Found count(const Pathway& p, const Block& block, const Shards& shards, int64_t part, int64_t parts) {
  return (block.offsets ? count_as<uint32_t> : count_as<int64_t>)(p, block, shards, part, parts);
}

// Counters become positions: the next free record of each segment stands where its counter stood. Returns the number of edges.
inline int64_t accumulate(const Block& block, const Shards& shards, int64_t* longest_row) {
  auto* offsets = static_cast<uint32_t*>(block.offsets);
  int64_t total = 0;
  *longest_row = 0;
  for (int64_t shard = 0; shard < shards.count; ++shard) {
    int64_t* first = block.first_edge + shard * (block.sources + 1);
    for (int64_t row = 0; row < block.sources; ++row) {
      int64_t length = 0;
      if (offsets) {
        uint32_t* segment = offsets + (shard * block.sources + row) * (block.ranks + 1);
        for (int64_t r = 1; r <= block.ranks; ++r) {
          const uint32_t edges = segment[r];
          segment[r] = static_cast<uint32_t>(length);
          length += edges;
        }
      } else {
        length = first[row + 1];
        first[row + 1] = total;  // moves on while the row is filled, and ends at the next row's first edge
      }
      if (offsets || row == 0) first[row] = total;
      total += length;
      *longest_row = std::max(*longest_row, length);
    }
    if (offsets || block.sources == 0) first[block.sources] = total;
  }
  return total;
}

// Puts the edges of a part of a pathway where they belong.
template <class Counter>
Found fill_as(const Pathway& p, const Block& block, const Shards& shards, int64_t part, int64_t parts) {
  const int64_t record = 2 + block.weight_bytes;
  Found found;
  detail::Places<Counter> at;
  detail::part_of(p, shards, part, parts, [&](const Edges& edges) {
    int64_t delay[BATCH], weight[BATCH], place[BATCH];
    found.edges += edges.count;
    if (sizeof(Counter) == 4) delays_of(p, edges, delay);
    at.find(p, block, shards, edges, delay);
    if (block.weight_bytes && !weights_of(p, edges, weight)) {
      found.unmet = 1;
      return;
    }
    for (int i = 0; i < edges.count; ++i) {
      place[i] = at.first[i] + static_cast<int64_t>((*at.counter[i])++);
      __builtin_prefetch(block.records + place[i] * record, 1);
    }
    for (int i = 0; i < edges.count; ++i) {
      detail::put(block.records + place[i] * record, block.weight_bytes, at.target[i], block.weight_bytes ? weight[i] : 0);
    }
    if (block.weight_bytes) {
      for (int i = 0; i < edges.count; ++i) found.negative_weights += weight[i] < 0;
    }
  });
  return found;
}

inline Found fill(const Pathway& p, const Block& block, const Shards& shards, int64_t part, int64_t parts) {
  return (block.offsets ? fill_as<uint32_t> : fill_as<int64_t>)(p, block, shards, part, parts);
}

}  // namespace snnrun
