"""Counter-based random numbers: every draw is a function of (seed, stream, entity, number).

The generator is Philox4x32-10 (Salmon, Moraes, Dror & Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011). No
state is carried, so nothing depends on the order of draws, and adding a population changes nobody else's.

What defines a network (edges, weights, delays, parameters) is drawn on the host in float64 with + - * / and square roots
only, and with a logarithm and an exponential made from these, because the libraries' own differ from machine to
machine. Words for noise inside a step are compared with integers, so that NumPy and JAX give the same bits.
"""

import math
import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from snnrun.lazy import jnp
from snnrun.quantities import Law

Words = NDArray[np.uint64]
Floats = NDArray[np.float64]

_MASK = 0xFFFFFFFF
_BLOCK = 1 << 14  # blocks drawn at a time: the intermediates then stay in the second-level cache
_ATTEMPT = 48  # bits of the number that count draws; those above count the attempts of one draw
MAX_ATTEMPTS = 1000
_BATCH = 1 << 14  # values drawn at a time, for the same reason
_FIRST = 256  # the first batch is a small one, so that bounds that are never met show soon

Key = tuple[int, int]


class DrawError(ValueError):
    """Bounds that draws hardly ever meet."""

    def __init__(self) -> None:
        super().__init__("the bounds of redraw are hardly ever met by this distribution")


def key(seed: int, stream: str) -> Key:
    """The Philox key of a stream: the seed mixed with the CRC-32 of the stream's name (SplitMix64's finaliser)."""
    z = (seed + 0x9E3779B97F4A7C15 * (zlib.crc32(stream.encode()) + 1)) & 0xFFFFFFFFFFFFFFFF
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
    z ^= z >> 31
    return z & _MASK, z >> 32


def philox(c0: Any, c1: Any, c2: Any, c3: Any, k0: Any, k1: Any) -> tuple[Any, Any, Any, Any]:
    """Ten rounds of Philox4x32 on counters (uint32 arrays, of NumPy or JAX) with a key of two of these: four words each."""
    for r in range(10):
        p0, p1 = c0.astype(np.uint64) * np.uint64(0xD2511F53), c2.astype(np.uint64) * np.uint64(0xCD9E8D57)
        low0, low1 = p0.astype(np.uint32), p1.astype(np.uint32)
        high0, high1 = (p0 >> np.uint64(32)).astype(np.uint32), (p1 >> np.uint64(32)).astype(np.uint32)
        if r:
            k0, k1 = k0 + np.uint32(0x9E3779B9), k1 + np.uint32(0xBB67AE85)  # modulo 2**32
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
    return c0, c1, c2, c3


def blocks(stream: Key, entity: Any, number: Any) -> tuple[Words, Words]:
    """Two 64-bit words for each pair (entity, number), which are broadcast against each other."""
    entity, number = np.broadcast_arrays(np.asarray(entity, np.uint64), np.asarray(number, np.uint64))
    shape = entity.shape
    entity, number = entity.ravel(), number.ravel()
    words = np.empty((2, entity.size), np.uint64)
    space = np.empty((3, 2, min(entity.size, _BLOCK)), np.uint64)
    for start in range(0, entity.size, _BLOCK):
        part = slice(start, start + _BLOCK)
        _philox_words(stream, entity[part], number[part], words[:, part], space)
    return words[0].reshape(shape), words[1].reshape(shape)


def _philox_words(stream: Key, entity: Words, number: Words, words: Words, space: Words) -> None:
    """What `philox` computes, in place and twice as fast: even and odd words of the counter in two arrays of 64 bits."""
    shift, mask = np.uint64(32), np.uint64(_MASK)
    factors, keys = np.array([[0xD2511F53], [0xCD9E8D57]], np.uint64), np.array(stream, np.uint64)[:, None]
    even, odd, product = space[:, :, : entity.size]
    crossed = product[::-1]
    for half, source in enumerate((number, entity)):
        np.bitwise_and(source, mask, out=even[half])
        np.right_shift(source, shift, out=odd[half])
    for _ in range(10):
        np.multiply(even, factors, out=product)
        np.right_shift(crossed, shift, out=even)
        even ^= odd
        even ^= keys
        np.bitwise_and(crossed, mask, out=odd)
        keys = (keys + np.array([[0x9E3779B9], [0xBB67AE85]], np.uint64)) & mask
    odd <<= shift
    np.bitwise_or(even, odd, out=words)


def rows(stream: Key, entities: Any, start: int, count: int) -> Words:
    """64-bit words number `start` ... `start + count - 1` (both even) of each entity: an array [entities, count].

    Word j of an entity is half j % 2 of its block j // 2.
    """
    entities = np.asarray(entities, np.uint64)
    numbers = np.arange(start // 2, (start + count) // 2, dtype=np.uint64)
    return np.stack(blocks(stream, entities[:, None], numbers[None, :]), axis=2).reshape(len(entities), count)


def below(words: Words, n: Any) -> NDArray[np.int64]:
    """Whole numbers 0 ... n - 1 (n < 2**32, one or one per word) from 64-bit words: floor(word * n / 2**64), exactly."""
    low, high, n64 = words & np.uint64(_MASK), words >> np.uint64(32), np.asarray(n).astype(np.uint64)
    return ((high * n64 + ((low * n64) >> np.uint64(32))) >> np.uint64(32)).astype(np.int64)


def uniform(words: Words) -> Floats:
    """Numbers in the open interval (0, 1) with 53 bits, from 64-bit words."""
    values = (words >> np.uint64(11)).astype(np.float64)
    values += 0.5
    values *= 2.0**-53
    return np.minimum(values, 1.0 - 2.0**-53, out=values)  # the largest would be rounded to 1


# ---- elementary functions from exact operations ----------------------------------------------------------------------

_LN2_HIGH, _LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10  # the high part has 21 zero bits


def _two_atanh(s: Floats) -> Floats:
    """2 atanh(s) = log((1 + s) / (1 - s)) for |s| < 0.172, by its series, to the rounding of float64."""
    z = np.asarray(s * s)
    series = np.zeros_like(z)
    for n in range(23, 1, -2):
        series += 1.0 / n
        series *= z
    return 2.0 * (s + s * series)


def log(x: Any) -> Floats:
    """Natural logarithm of positive numbers, from + - * / alone."""
    mantissa, exponent = np.frexp(np.asarray(x, np.float64))
    low = mantissa < math.sqrt(0.5)
    mantissa, k = np.where(low, mantissa * 2.0, mantissa), exponent - low
    return k * _LN2_HIGH + (k * _LN2_LOW + _two_atanh((mantissa - 1.0) / (mantissa + 1.0)))


def log1p(x: float) -> float:
    """log(1 + x) for -1 < x, also where x is tiny."""
    if abs(x) < 0.3:
        return float(_two_atanh(np.asarray(x / (2.0 + x))))
    return float(log(1.0 + x))


def exp(x: Any) -> Floats:
    """Exponential, from + - * / alone; |x| below 700."""
    x = np.asarray(x, np.float64)
    k = np.floor(x * 1.4426950408889634 + 0.5)
    r = (x - k * _LN2_HIGH) - k * _LN2_LOW
    series = np.ones_like(r)
    for n in range(16, 0, -1):
        series = 1.0 + series * r / n
    return np.ldexp(series, k.astype(np.int64))


# Wichura's algorithm AS 241 (Appl. Statist. 37, 1988), PPND16: the normal quantile to about 1e-16.
_CENTRE = (
    (2509.0809287301226727, 33430.575583588128105, 67265.770927008700853, 45921.953931549871457,
     13731.693765509461125, 1971.5909503065514427, 133.14166789178437745, 3.3871328727963666080),
    (5226.4952788528545610, 28729.085735721942674, 39307.895800092710610, 21213.794301586595867,
     5394.1960214247511077, 687.18700749205790830, 42.313330701600911252, 1.0),
)  # fmt: skip
_MIDDLE = (
    (7.74545014278341407640e-4, 2.27238449892691845833e-2, 2.41780725177450611770e-1, 1.27045825245236838258,
     3.64784832476320460504, 5.76949722146069140550, 4.63033784615654529590, 1.42343711074968357734),
    (1.05075007164441684324e-9, 5.47593808499534494600e-4, 1.51986665636164571966e-2, 1.48103976427480074590e-1,
     6.89767334985100004550e-1, 1.67638483018380384940, 2.05319162663775882187, 1.0),
)  # fmt: skip
_TAIL = (
    (2.01033439929228813265e-7, 2.71155556874348757815e-5, 1.24266094738807843860e-3, 2.65321895265761230930e-2,
     2.96560571828504891230e-1, 1.78482653991729133580, 5.46378491116411436990, 6.65790464350110377720),
    (2.04426310338993978564e-15, 1.42151175831644588870e-7, 1.84631831751005468180e-5, 7.86869131145613259100e-4,
     1.48753612908506148525e-2, 1.36929880922735805310e-1, 5.99832206555887937690e-1, 1.0),
)  # fmt: skip


def _ratio(r: Floats, coefficients: tuple[tuple[float, ...], tuple[float, ...]]) -> Floats:
    top, bottom = (np.full_like(r, c[0]) for c in coefficients)
    for a, b in zip(coefficients[0][1:], coefficients[1][1:], strict=True):
        top *= r
        top += a
        bottom *= r
        bottom += b
    return top / bottom


def normal_quantile(p: Any) -> Floats:
    """The z with P(Z < z) = p for a standard normal Z."""
    p = np.asarray(p, np.float64)
    q = p - 0.5
    value = q * _ratio(0.180625 - q * q, _CENTRE)
    outside = np.abs(q) > 0.425
    if outside.any():
        tail = q[outside]
        r = np.sqrt(-log(np.where(tail < 0, p[outside], 1.0 - p[outside])))
        far = _ratio(r - 1.6, _MIDDLE)
        if (further := r > 5.0).any():
            far[further] = _ratio(r[further] - 5.0, _TAIL)
        value[outside] = np.where(tail < 0, -far, far)
    return value


# ---- distributions ---------------------------------------------------------------------------------------------------


def draw(stream: Key, law: Law, entity: Any, number: Any = 0) -> Floats:
    """One value of a distribution for each (entity, number).

    Each attempt of a draw takes one block of its own, so a draw that is repeated moves no other. Raises DrawError where
    bounds are not met within MAX_ATTEMPTS attempts.
    """
    entity, number = np.broadcast_arrays(np.asarray(entity, np.uint64), np.asarray(number, np.uint64))
    shape, entity, number = entity.shape, entity.ravel(), number.ravel()
    values = np.empty(entity.size)
    start, stop = 0, _FIRST
    while start < entity.size:
        values[start:stop] = _draw(stream, law, entity[start:stop], number[start:stop])
        start, stop = stop, stop + _BATCH
    return (values if law.clip is None else np.clip(values, *law.clip)).reshape(shape)


def _draw(stream: Key, law: Law, entity: Words, number: Words) -> Floats:
    """One batch of draws, before they are clipped."""
    values, open_ = np.empty(entity.size), np.arange(entity.size)
    for attempt in range(MAX_ATTEMPTS):
        value, accepted = _LAWS[law.kind](law, stream, entity, number + np.uint64(attempt << _ATTEMPT))
        if law.redraw is not None:
            accepted &= (value >= law.redraw[0]) & (value <= law.redraw[1])
        values[open_] = value  # those that are not accepted are drawn over
        if accepted.all():
            return values
        again = ~accepted
        open_, entity, number = open_[again], entity[again], number[again]
    raise DrawError


Attempt = tuple[Floats, NDArray[np.bool_]]


def _normal(law: Law, stream: Key, entity: Words, number: Words) -> Attempt:
    words, _ = blocks(stream, entity, number)
    return law.first + law.second * normal_quantile(uniform(words)), np.ones(words.shape, bool)


def _uniform(law: Law, stream: Key, entity: Words, number: Words) -> Attempt:
    words, _ = blocks(stream, entity, number)
    return law.first + (law.second - law.first) * uniform(words), np.ones(words.shape, bool)


def _lognormal(law: Law, stream: Key, entity: Words, number: Words) -> Attempt:
    """Mean and standard deviation are those of the variable: its logarithm has variance log(1 + (std / mean)**2)."""
    words, _ = blocks(stream, entity, number)
    mu, sigma = _of_logarithm(law)
    return exp(mu + sigma * normal_quantile(uniform(words))), np.ones(words.shape, bool)


def _of_logarithm(law: Law) -> tuple[float, float]:
    variance = log1p((law.second / law.first) ** 2)
    return float(log(law.first)) - 0.5 * variance, math.sqrt(variance)


def _exponential(law: Law, stream: Key, entity: Words, number: Words) -> Attempt:
    words, _ = blocks(stream, entity, number)
    return -law.first * log(uniform(words)), np.ones(words.shape, bool)


def _gamma(law: Law, stream: Key, entity: Words, number: Words) -> Attempt:
    """One attempt of Marsaglia & Tsang (ACM TOMS 26, 2000): shape k = (mean / std)**2, scale std**2 / mean.

    For k < 1 a variable of shape k + 1 is multiplied by u**(1 / k), with u from a block of its own.
    """
    first, second = blocks(stream, entity, number)
    k, scale = _shape_and_scale(law)
    d = (k + 1.0 if k < 1.0 else k) - 1.0 / 3.0
    x, u = normal_quantile(uniform(first)), uniform(second)
    root = 1.0 + x / (3.0 * math.sqrt(d))
    v = root * root * root
    positive = v > 0
    v = np.where(positive, v, 1.0)
    accepted = positive & (log(u) < 0.5 * x * x + d - d * v + d * log(v))
    values = d * v * scale
    if k < 1.0:
        extra, _ = blocks(stream, entity, number | np.uint64(1 << (_ATTEMPT - 1)))
        values = values * exp(np.maximum(log(uniform(extra)) / k, -690.0))
    return values, accepted


def _shape_and_scale(law: Law) -> tuple[float, float]:
    return (law.first / law.second) ** 2, law.second**2 / law.first


def coefficients(law: Law) -> tuple[float, float]:
    """The two numbers by which a law is drawn: of a lognormal variable those of its logarithm, of a gamma shape and scale."""
    of = {"lognormal": _of_logarithm, "gamma": _shape_and_scale}
    return of[law.kind](law) if law.kind in of else (law.first, law.second)


def bounds(law: Law) -> tuple[float, float]:
    """No draw lies outside of these: uniform numbers have 53 bits, so that even a normal variable is bounded."""
    first, second = coefficients(law)
    least, most = uniform(np.array([0, 2**64 - 1], np.uint64))
    z = normal_quantile(np.array([least, most]))
    if law.kind == "normal":
        low, high = (first + second * float(value) for value in z)
    elif law.kind == "uniform":
        low, high = first, second
    elif law.kind == "lognormal":
        low, high = (float(exp(first + second * value)) for value in z)
    elif law.kind == "exponential":
        low, high = -first * float(log(most)), -first * float(log(least))
    else:
        d = (first + 1.0 if first < 1.0 else first) - 1.0 / 3.0
        low, high = 0.0, d * (1.0 + float(z[1]) / (3.0 * math.sqrt(d))) ** 3 * second
    if law.redraw is not None:
        low, high = max(low, law.redraw[0]), min(high, law.redraw[1])
    if law.clip is not None:
        low, high = (min(max(value, law.clip[0]), law.clip[1]) for value in (low, high))
    return low, high


_LAWS: dict[str, Callable[[Law, Key, Words, Words], Attempt]] = {
    "normal": _normal,
    "uniform": _uniform,
    "lognormal": _lognormal,
    "exponential": _exponential,
    "gamma": _gamma,
}


# ---- noise inside the step -------------------------------------------------------------------------------------------


class Streams(NamedTuple):
    """Streams of the words of populations that lie side by side, arrays."""

    keys: Any  # uint32 [populations, 2]
    sizes: Any  # int64 [populations]
    neuron: Any  # uint32 [places]: index of each neuron within its population
    which: Any  # int32 [places]: the population; None where there is one


def side_by_side(keys: tuple[Key, ...], sizes: tuple[int, ...], padded: int) -> Streams:
    """The last population takes what is left of `padded` places."""
    lengths = np.array([*sizes[:-1], padded - sum(sizes[:-1])], np.int64)
    which = np.repeat(np.arange(len(keys), dtype=np.int32), lengths)
    neuron = np.arange(padded, dtype=np.int64) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return Streams(np.array(keys, np.uint32), lengths, neuron.astype(np.uint32), which if len(keys) > 1 else None)


def words(streams: Streams, step: Any) -> Any:
    """One 32-bit word for each neuron of some populations in one step: a JAX array."""
    which = 0 if streams.which is None else streams.which
    return _words((streams.keys[which, 0], streams.keys[which, 1]), step, streams.neuron)


def step_words(stream: Any, step: Any, first: int, size: int) -> Any:
    """One 32-bit word for each of the neurons first ... first + size - 1 of a population in one step: a JAX array."""
    return _words(stream, step, jnp.arange(first, first + size, dtype=jnp.uint32))


def _words(stream: Any, step: Any, neuron: Any) -> Any:
    """A word for each neuron, which depends on (stream, neuron, step) only; `stream` is a pair of uint32, `step` may be traced.

    Tiles of 256 neurons share the four planes of words of 64 Philox blocks: neuron i takes word i % 256 // 64 of block
    i // 256 * 64 + i % 64. Native code draws each block once and writes runs of 64 words; XLA does better to repeat a block
    than to move words about.
    """
    block, plane = neuron // 256 * 64 + neuron % 64, neuron % 256 // 64
    step = jnp.asarray(step).astype(jnp.uint64)
    counter = (step.astype(jnp.uint32), (step >> jnp.uint64(32)).astype(jnp.uint32))
    zero = jnp.zeros_like(neuron)
    w0, w1, w2, w3 = philox(zero + counter[0], zero + counter[1], block, zero, *stream)
    return jnp.where(plane < 2, jnp.where(plane == 0, w0, w1), jnp.where(plane == 2, w2, w3))


def poisson_table(mean: float) -> NDArray[np.uint32]:
    """Thresholds T with n = number of T <= word for a uniform 32-bit word: n is Poisson with the given mean.

    T[m] = 2**32 P(n <= m) on the grid, with the rounding error carried on, so that the mean of n, which is the sum of
    1 - T[m] / 2**32, is right to 2**-33. The tail beyond the last threshold has a probability below 2**-32.
    """
    if mean == 0:
        return np.zeros(0, np.uint32)
    probability = float(exp(-mean))
    below_or_equal, carry, n, table = 0.0, 0.0, 0, []
    tail = 1.0
    while True:
        below_or_equal += probability
        tail = 1.0 - below_or_equal
        exact = below_or_equal * 2.0**32 + carry
        threshold = math.floor(exact + 0.5)
        carry = exact - threshold
        if threshold >= 2**32 or (n > mean and tail < 2.0**-33):
            break
        table.append(max(threshold, table[-1] if table else 0))
        n += 1
        probability *= mean / n
    return np.array(table, np.uint32)


def binomial_table(n: int, p: float) -> NDArray[np.uint32]:
    """Thresholds T with k = number of T <= word for a uniform 32-bit word: k is binomial, of n events each with probability p.

    Like those of poisson_table, with the mean right to 2**-33; no threshold is the largest word, which stands for one that is
    never reached.
    """
    below_or_equal, carry, table = 0.0, 0.0, np.empty(n, np.uint32)
    for k in range(n):
        below_or_equal += math.comb(n, k) * p**k * (1.0 - p) ** (n - k)
        exact = below_or_equal * 2.0**32 + carry
        threshold = min(max(math.floor(exact + 0.5), 0), 2**32 - 1)
        carry = exact - threshold
        table[k] = threshold
    return np.maximum.accumulate(table)


def bernoulli_threshold(p: Any) -> Any:
    """A uniform 32-bit word lies below this number (uint64, up to 2**32) with probability p, to 2**-33."""
    return np.floor(np.asarray(p) * 2.0**32 + 0.5).astype(np.uint64)
