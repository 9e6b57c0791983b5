// SPDX-License-Identifier: Apache-2.0
//
// ap_int<W> / ap_uint<W> on clang's _BitInt: for C simulation and for the open HLS flow (C++14 and later).
//
// Promised: what compiles has the value and the result type that AMD's published ap_int headers give it, with their
// oddities (docs/ap_int.md names them). Where AMD's simulation and hardware differ, or their header is not
// what their manual says, a static_assert says what to write instead.
//
// Undefined as in AMD's: bits and ranges outside the word, division by 0, a shift by the most negative number of a
// built-in type. Not promised: fixed point, floating point operands, printing, volatile objects.
#ifndef OPENHLS_AP_INT_H
#define OPENHLS_AP_INT_H

#if !defined(__clang__)
#error "this ap_int.h needs clang (_BitInt); for g++ use AMD's ap_types headers"
#endif

template <int W> struct ap_int;
template <int W> struct ap_uint;
template <int W, bool S> struct ap_int_base;
template <int W, bool S> struct ap_range_ref;
template <int W, bool S> struct ap_bit_ref;
template <int W1, class T1, int W2, class T2> struct ap_concat_ref;

namespace ap_detail {

#define AP_INLINE __attribute__((always_inline)) constexpr

constexpr int max(int a, int b) { return a > b ? a : b; }
constexpr int min(int a, int b) { return a < b ? a : b; }

template <bool B, class T> struct enable {};
template <class T> struct enable<true, T> { typedef T type; };
template <bool B, class T, class F> struct choose { typedef T type; };
template <class T, class F> struct choose<false, T, F> { typedef F type; };
template <bool B, class T, class F> using choose_t = typename choose<B, T, F>::type;
template <class T> struct never { static constexpr bool value = false; };  // for what is refused where it is used

// -- Words ------------------------------------------------------------------------------------------------

// The number behind a word. A signed _BitInt has two bits at least; ap_int<1> keeps its value (0 or -1) in
// them.
template <int W, bool S> struct raw { typedef unsigned _BitInt(W) type; };
template <int W> struct raw<W, true> { typedef _BitInt(W < 2 ? 2 : W) type; };
template <int W, bool S> using raw_t = typename raw<W, S>::type;

// Truncation to W bits of any integer.
template <int W, bool S> struct wrap {
  template <class T> static AP_INLINE raw_t<W, S> of(T x) { return (raw_t<W, S>)x; }
};
template <> struct wrap<1, true> {
  template <class T> static AP_INLINE raw_t<1, true> of(T x) {
    return (raw_t<1, true>)(-(int)(unsigned _BitInt(1))x);
  }
};
template <int W> struct wrap<W, false> {
  template <class T> static AP_INLINE raw_t<W, false> of(T x) { return (raw_t<W, false>)x; }
  static AP_INLINE raw_t<W, false> of(bool x) { return (raw_t<W, false>)(unsigned)x; }
};

template <int W, bool S> struct word { typedef ap_uint<W> type; };
template <int W> struct word<W, true> { typedef ap_int<W> type; };
template <int W, bool S> using word_t = typename word<W, S>::type;

template <bool S> struct host { typedef unsigned long long type; };
template <> struct host<true> { typedef long long type; };

// -- Operands: sort, width, signedness, value -------------------------------------------------------------

enum class sort { other, number, bit, range, word, concat };

template <sort SORT, int W, bool S, bool WORD_SIGN = S> struct is_operand {
  static constexpr sort is = SORT;
  static constexpr bool integer = true, sign = S;
  static constexpr bool word_sign = WORD_SIGN;  // of a range: the sign of its word
  static constexpr int width = W;
};
template <class T, int K = __is_integral(T) ? 1 : __is_enum(T) ? 2 : 0> struct operand {
  static constexpr sort is = sort::other;
  static constexpr bool integer = false;
};
template <class T> struct operand<T, 1> : is_operand<sort::number, 8 * (int)sizeof(T), (T)-1 < (T)0> {
  static AP_INLINE raw_t<operand::width, operand::sign> value(T x) {
    return (raw_t<operand::width, operand::sign>)x;
  }
};
template <> struct operand<bool, 1> : is_operand<sort::number, 1, false> {
  static AP_INLINE raw_t<1, false> value(bool x) { return (raw_t<1, false>)(unsigned)x; }
};
// An enumeration is what it is promoted to; an enum class has no conversion and is none.
template <class T> auto promoted(int) -> decltype(+T());
template <class T> void promoted(...);
template <class T> struct operand<T, 2> : operand<decltype(promoted<T>(0))> {};

template <int W, bool S> struct word_operand : is_operand<sort::word, W, S> {
  static AP_INLINE raw_t<W, S> value(const ap_int_base<W, S>& x) { return x.V; }
};
template <int W, bool S> struct operand<ap_int_base<W, S>, 0> : word_operand<W, S> {};
template <int W> struct operand<ap_int<W>, 0> : word_operand<W, true> {};
template <int W> struct operand<ap_uint<W>, 0> : word_operand<W, false> {};
template <int W, bool S> struct operand<ap_range_ref<W, S>, 0> : is_operand<sort::range, W, false, S> {
  static AP_INLINE raw_t<W, false> value(const ap_range_ref<W, S>& x) { return x.get().V; }
};
template <int W, bool S> struct operand<ap_bit_ref<W, S>, 0> : is_operand<sort::bit, 1, false> {
  static AP_INLINE raw_t<1, false> value(const ap_bit_ref<W, S>& x) { return (raw_t<1, false>)(unsigned)x.get(); }
};
template <int W1, class T1, int W2, class T2>
struct operand<ap_concat_ref<W1, T1, W2, T2>, 0> : is_operand<sort::concat, W1 + W2, false> {
  static AP_INLINE raw_t<W1 + W2, false> value(const ap_concat_ref<W1, T1, W2, T2>& x) { return x.get().V; }
};

template <class T> constexpr bool is(sort s) { return operand<T>::is == s; }
template <class T> constexpr bool is_word_or_range() { return is<T>(sort::word) || is<T>(sort::range); }

template <class R, class T> AP_INLINE raw_t<R::width, R::is_signed> extend(const T& x) {
  return wrap<R::width, R::is_signed>::of(operand<T>::value(x));
}
template <class T> using word_of = word_t<operand<T>::width, operand<T>::sign>;

// -- Results ----------------------------------------------------------------------------------------------

// AMD's RType: widths and signs of results.
template <int WA, bool SA, int WB, bool SB> struct rtype {
  static constexpr int both = max(WA + (SB && !SA), WB + (SA && !SB));  // holds either operand
  typedef word_t<WA + WB, SA || SB> mul;
  typedef word_t<both + 1, SA || SB> add;
  typedef word_t<both + 1, true> sub;
  typedef word_t<both, SA || SB> logic;
  typedef word_t<WA + SB, SA || SB> div;
  typedef word_t<min(WA, WB + (!SB && SA)), SA> mod;
  // What division is done in: holds either operand and the quotient, and has the sign of the wider operand.
  static constexpr bool divides_signed = WA == WB ? SA || SB : WA > WB ? SA : SB;
  static constexpr int divided = max(WA + SB, WB + (SA && !SB));
};

// Which operators on A and B are ours; the others are C++'s own, on what the operands convert to.
template <class A, class B> constexpr bool ours() {
  return !is<A>(sort::other) && !is<B>(sort::other) &&
         (is_word_or_range<A>() || is_word_or_range<B>() || (is<A>(sort::concat) && is<B>(sort::concat)));
}
template <class A, class B> constexpr bool ours_to_compare() {
  return !is<A>(sort::other) && !is<B>(sort::other) &&
         (is<A>(sort::word) || is<B>(sort::word) || ((is<A>(sort::range) || is<A>(sort::concat)) && !is<B>(sort::bit)));
}
template <class A, class B> constexpr bool ours_to_shift() {
  return !is<A>(sort::other) && !is<B>(sort::other) &&
         (is_word_or_range<A>() || is<A>(sort::concat) || is<B>(sort::range) ||
          (is<A>(sort::bit) && is<B>(sort::word)));
}

// Beside anything but another one, a concatenation converts to a number and loses what is above its low 64 bits.
template <class T, class BESIDE>
using seen = choose_t<is<T>(sort::concat) && !is<BESIDE>(sort::concat), unsigned long long, T>;

// `computed`: the types that hold the numbers. `returned`: AMD's overloads for a number before a word turn the operands
// round, those for a range beside a word take the sign of the range's word.
template <class A, class B, bool = ours<A, B>()> struct result {};
template <class A, class B> struct result<A, B, true> {
  typedef seen<A, B> left;
  typedef seen<B, A> right;
  typedef operand<left> l;
  typedef operand<right> r;
  typedef rtype<l::width, l::sign, r::width, r::sign> computed;
  typedef choose_t<is<left>(sort::number) && is<B>(sort::word), rtype<r::width, r::sign, l::width, l::sign>,
                   rtype<l::width, is<B>(sort::word) ? l::word_sign : l::sign,
                         r::width, is<A>(sort::word) ? r::word_sign : r::sign>> returned;
};

// & | ^ of a word and a concatenation: all bits, and the word's sign.
template <class A, class B>
constexpr bool joins = (is<A>(sort::word) && is<B>(sort::concat)) || (is<A>(sort::concat) && is<B>(sort::word));
template <class A, class B, bool = joins<A, B>> struct bitwise : result<A, B> {};
template <class A, class B> struct bitwise<A, B, true> {
  typedef A left;
  typedef B right;
  typedef rtype<operand<A>::width, operand<A>::sign, operand<B>::width, operand<B>::sign> computed;
  struct returned {
    typedef word_t<max(operand<A>::width, operand<B>::width), operand<A>::sign || operand<B>::sign> logic;
  };
};

// The type that A < B is decided in: numbers compare as numbers, unless they differ in sign and the unsigned one has 32
// bits or more and is no narrower; then as C does it, in bits enough for both.
template <class A, class B> struct order {
  static constexpr int wa = operand<A>::width, wb = operand<B>::width;
  static constexpr bool mixed = operand<A>::sign != operand<B>::sign;
  static constexpr int unsigned_width = operand<A>::sign ? wb : wa, signed_width = operand<A>::sign ? wa : wb;
  static constexpr bool as_bits = mixed && unsigned_width >= 32 && unsigned_width >= signed_width;
  typedef raw_t<max(wa, wb) + 1, !as_bits> type;
};
// The type of A == B: bits of the wider one, 32 at least; with equal widths under 64 the numbers.
template <class A, class B> struct equality {
  static constexpr int wa = operand<A>::width, wb = operand<B>::width;
  typedef raw_t<wa == wb && wa < 64 ? 64 : max(max(wa, wb), 32), false> type;
};

// Where a concatenation is compared with another one or with a range, the right one is a number of 64 bits.
template <class A, class B>
using compared = choose_t<(is<A>(sort::concat) && is<B>(sort::range)) ||
                              (is<B>(sort::concat) && (is<A>(sort::range) || is<A>(sort::concat))),
                          unsigned long long, B>;

template <bool B, class R> using if_true = typename enable<B, R>::type;

// What a range or a bit is set to: a concatenation of parts of different types is a number of 64 bits to AMD's.
template <class T> struct given { typedef T type; };
template <int W1, class T1, int W2, class T2> struct given<ap_concat_ref<W1, T1, W2, T2>> {
  typedef unsigned long long type;
};
template <int W1, int W2, class T> struct given<ap_concat_ref<W1, T, W2, T>> {
  typedef ap_concat_ref<W1, T, W2, T> type;
};

// The operand of an assignment with an operator, as a word: of a range or a concatenation the low 64 bits.
template <class T, sort = operand<T>::is, int LOW = 64> struct assigned {
  static AP_INLINE word_of<T> of(const T& x) { return word_of<T>(x); }
};
template <class T, int LOW> struct assigned<T, sort::range, LOW> {
  static AP_INLINE ap_uint<LOW> of(const T& x) { return ap_uint<LOW>(x); }
};
template <class T, int LOW> struct assigned<T, sort::concat, LOW> {
  static AP_INLINE ap_uint<LOW> of(const T& x) { return ap_uint<LOW>(x); }
};

// -- Shifts -----------------------------------------------------------------------------------------------

// A shift keeps the type of its left operand; a range shifted by a word takes the sign of the range's word.
template <class A, class B, bool = ours_to_shift<A, B>()> struct shifted {};
template <class A, class B> struct shifted<A, B, true> {
  typedef word_t<operand<A>::width, is<B>(sort::word) ? operand<A>::word_sign : operand<A>::sign> type;
  // What the amount is seen as: a word shifts by a number's full value, all others by an amount's low 32 bits.
  typedef choose_t<is<A>(sort::concat) && !is<B>(sort::concat), int, seen<B, A>> given;
  typedef choose_t<is<given>(sort::number) && !is<A>(sort::word), word_of<given>, given> amount;
};

// A shift amount: magnitude and direction. Unsigned amounts never turn round.
template <class T, bool S = operand<T>::sign> struct amount {
  typedef choose_t<is<T>(sort::number) && (operand<T>::width > 32), unsigned long long, unsigned> type;
  static AP_INLINE bool negative(const T&) { return false; }
  static AP_INLINE type magnitude(const T& n) { return (type)operand<T>::value(n); }
};
template <class T> struct amount<T, true> {
  typedef typename amount<T, false>::type type;
  static AP_INLINE bool negative(const T& n) { return operand<T>::value(n) < 0; }
  static AP_INLINE type magnitude(const T& n) {
    return negative(n) ? (type)0 - (type)operand<T>::value(n) : (type)operand<T>::value(n);
  }
};
template <int W, bool S, class N> AP_INLINE raw_t<W, S> left(raw_t<W, S> x, N n) {
  return n >= (N)W ? (raw_t<W, S>)0 : wrap<W, S>::of((raw_t<W, false>)((raw_t<W, false>)x << n));
}
template <int W, bool S, class N> AP_INLINE raw_t<W, S> right(raw_t<W, S> x, N n) {
  return n >= (N)W ? (x < 0 ? (raw_t<W, S>)-1 : (raw_t<W, S>)0) : (raw_t<W, S>)(x >> n);
}

// -- Bits of words ----------------------------------------------------------------------------------------

// Fields of a word; constant bounds make these plain wires.
template <int W> AP_INLINE raw_t<W, false> mask(int hi, int lo) {
  return (raw_t<W, false>)((raw_t<W, false>)~(raw_t<W, false>)0 >> (unsigned)(W - 1 - (hi - lo)));
}
template <int W> AP_INLINE raw_t<W, false> field(raw_t<W, false> x, int hi, int lo) {
  return (raw_t<W, false>)((raw_t<W, false>)(x >> (unsigned)lo) & mask<W>(hi, lo));
}
template <int W> AP_INLINE raw_t<W, false> with_field(raw_t<W, false> word, int hi, int lo, raw_t<W, false> x) {
  raw_t<W, false> m = mask<W>(hi, lo);
  raw_t<W, false> kept = (raw_t<W, false>)(word & (raw_t<W, false>)~(raw_t<W, false>)(m << (unsigned)lo));
  return (raw_t<W, false>)(kept | (raw_t<W, false>)((raw_t<W, false>)(x & m) << (unsigned)lo));
}
template <int W> AP_INLINE raw_t<W, false> turned(raw_t<W, false> x) {
  return (raw_t<W, false>)__builtin_elementwise_bitreverse(x);
}
// Every bit that has a one at its place or above.
template <int W, int K = 1, bool = (K < W)> struct smear {
  static AP_INLINE raw_t<W, false> of(raw_t<W, false> x) {
    return smear<W, 2 * K>::of((raw_t<W, false>)(x | (raw_t<W, false>)(x >> (unsigned)K)));
  }
};
template <int W, int K> struct smear<W, K, false> {
  static AP_INLINE raw_t<W, false> of(raw_t<W, false> x) { return x; }
};

// -- Constant strings -------------------------------------------------------------------------------------

// Called where AMD's library stops or is undefined: no digit of the base, or too many. No constant expression can call
// it, and hardware neither.
#ifdef __SYNTHESIS__
void wrong_digits_in_a_string();
#else
inline void wrong_digits_in_a_string() { __builtin_trap(); }
#endif

constexpr bool is_letter(char c, char small) { return c == small || c == small - 32; }
constexpr int prefix_radix(const char* s) {
  return s[0] != '0'             ? 0
         : is_letter(s[1], 'b') ? 2
         : is_letter(s[1], 'o') ? 8
         : is_letter(s[1], 'd') ? 10
         : is_letter(s[1], 'x') ? 16
                                : 0;
}

constexpr int digit_of(char c) {
  return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : 99;
}

// Value of a constant string; radix 0: by its prefix, which is skipped in any case. Fifteen digits at a time: the
// compiler evaluates this for every ROM word.
template <int W> AP_INLINE raw_t<W, false> parse(const char* s, int radix) {
  constexpr int room = max(W, 64);  // AMD's has 64 bits at least
  typedef raw_t<room, false> wide;
  const int length = (int)__builtin_strlen(s), sign = s[0] == '-' || s[0] == '+' ? 1 : 0;
  const int given = prefix_radix(s + sign), start = sign + (given ? 2 : 0);
  if (radix == 0) radix = given ? given : 10;
  if (start == length || (radix != 2 && radix != 8 && radix != 10 && radix != 16)) wrong_digits_in_a_string();
  wide r = 0;
  unsigned long long chunk = 0, scale = 1;
#pragma clang loop unroll(full)
  for (int i = start; i < length; ++i) {
    if (digit_of(s[i]) >= radix) wrong_digits_in_a_string();
    chunk = chunk * (unsigned)radix + (unsigned)digit_of(s[i]);
    scale *= (unsigned)radix;
    if ((length - i) % 15 == 1) {
      if (r > (wide)((wide)~(wide)chunk / (wide)scale)) wrong_digits_in_a_string();
      r = (wide)((wide)(r * (wide)scale) + (wide)chunk);
      chunk = 0, scale = 1;
    }
  }
  return (raw_t<W, false>)(s[0] == '-' ? (wide)((wide)0 - r) : r);
}

}  // namespace ap_detail

// -- Words ------------------------------------------------------------------------------------------------

template <int W, bool S> struct ap_int_base {
  static_assert(W >= 1, "an ap_int has at least one bit");
  typedef ap_detail::raw_t<W, S> raw;
  typedef ap_detail::raw_t<W, false> bits;
  typedef ap_detail::word_t<W, S> self;
  static constexpr int width = W;
  static constexpr bool is_signed = S;

  raw V;

  ap_int_base() = default;
  template <class T, class = typename ap_detail::enable<ap_detail::operand<T>::integer, T>::type>
  AP_INLINE ap_int_base(const T& x) : V(ap_detail::wrap<W, S>::of(ap_detail::operand<T>::value(x))) {}
  template <class T, class = typename ap_detail::enable<__is_floating_point(T), T>::type, class = void>
  ap_int_base(T) : V() {
    static_assert(ap_detail::never<T>::value, "no floating point in an ap_int: convert to an integer first");
  }
  AP_INLINE ap_int_base(const char* s, int radix = 0)
      : V(ap_detail::wrap<W, S>::of(ap_detail::parse<W>(s, radix))) {}

  // To built-in integers: the low bits. So does `if (x)`; x != 0 and !x look at every bit.
  AP_INLINE operator typename ap_detail::host<S>::type() const {
    return (typename ap_detail::host<S>::type)V;
  }
  AP_INLINE bool to_bool() const {
    static_assert(W <= 64, "to_bool() of more than 64 bits: AMD's simulation looks at the low 64, its hardware at all; "
                           "write x != 0");
    return V != 0;
  }
  AP_INLINE char to_char() const { return (char)V; }
  AP_INLINE signed char to_schar() const { return (signed char)V; }
  AP_INLINE unsigned char to_uchar() const { return (unsigned char)V; }
  AP_INLINE short to_short() const { return (short)V; }
  AP_INLINE unsigned short to_ushort() const { return (unsigned short)V; }
  AP_INLINE int to_int() const { return (int)V; }
  AP_INLINE unsigned to_uint() const { return (unsigned)V; }
  AP_INLINE long to_long() const { return (long)V; }
  AP_INLINE unsigned long to_ulong() const { return (unsigned long)V; }
  AP_INLINE long long to_int64() const { return (long long)V; }
  AP_INLINE unsigned long long to_uint64() const { return (unsigned long long)V; }
  AP_INLINE int length() const { return W; }

  // Bits and ranges. Those of a const word can be written, too, but for [].
  AP_INLINE ap_range_ref<W, S> range(int hi, int lo) const {
    return ap_range_ref<W, S>(const_cast<ap_int_base&>(*this), hi, lo);
  }
  AP_INLINE ap_range_ref<W, S> range() const { return range(W - 1, 0); }
  AP_INLINE ap_range_ref<W, S> operator()(int hi, int lo) const { return range(hi, lo); }
  AP_INLINE ap_bit_ref<W, S> operator[](int i) { return ap_bit_ref<W, S>(*this, i); }
  AP_INLINE bool operator[](int i) const { return test(i); }
  AP_INLINE ap_bit_ref<W, S> bit(int i) { return ap_bit_ref<W, S>(*this, i); }
  AP_INLINE bool bit(int i) const { return test(i); }
  AP_INLINE bool test(int i) const { return ((bits)V >> (unsigned)i & (bits)1) != 0; }
  AP_INLINE bool get_bit(int i) const { return test(i); }
  AP_INLINE void set_bit(int i, bool x) { put(ap_detail::with_field<W>((bits)V, i, i, (bits)(unsigned)x)); }
  AP_INLINE void set(int i, bool x = true) { set_bit(i, x); }
  template <int V2> AP_INLINE void set(const ap_int_base<V2, false>& x) { *this = ap_int_base(x); }
  AP_INLINE void clear(int i) { set_bit(i, false); }
  AP_INLINE void invert(int i) { set_bit(i, !test(i)); }
  AP_INLINE ap_int_base& get() { return *this; }
  AP_INLINE self read() const { return self(*this); }
  AP_INLINE void write(const ap_int_base& x) { *this = x; }

  AP_INLINE bool iszero() const { return V == 0; }
  AP_INLINE bool is_zero() const { return V == 0; }
  AP_INLINE bool sign() const { return V < 0; }
  AP_INLINE bool and_reduce() const { return (bits)V == (bits)~(bits)0; }
  AP_INLINE bool nand_reduce() const {
    static_assert(W <= 64, "nand_reduce() of more than 64 bits is wrong in AMD's simulation; write !x.and_reduce()");
    return !and_reduce();
  }
  AP_INLINE bool or_reduce() const { return V != 0; }
  AP_INLINE bool nor_reduce() const { return V == 0; }
  AP_INLINE bool xor_reduce() const {
    static_assert(!S || W % 2 == 0, "xor_reduce() and xnor_reduce() of an ap_int of odd width: AMD's simulation counts "
                                    "copies of the sign, too; reduce an ap_uint");
    return (__builtin_popcountg((bits)V) & 1) != 0;
  }
  AP_INLINE bool xnor_reduce() const { return !xor_reduce(); }
  AP_INLINE int countLeadingZeros() { return W - __builtin_popcountg(ap_detail::smear<W>::of((bits)V)); }

  AP_INLINE void b_not() { put((bits)~(bits)V); }
  AP_INLINE ap_int_base& reverse() { return put(ap_detail::turned<W>((bits)V)); }
  AP_INLINE ap_int_base& lrotate(int n) {
    static_assert(!S || W <= 64, "AMD's simulation rotates no ap_int of more than 64 bits rightly: use an ap_uint");
    return n == 0 ? *this : put((bits)((bits)((bits)V << (unsigned)n) | (bits)((bits)V >> (unsigned)(W - n))));
  }
  AP_INLINE ap_int_base& rrotate(int n) { return lrotate(n == 0 ? 0 : W - n); }

  template <int W2, bool S2>
  AP_INLINE ap_concat_ref<W, ap_int_base, W2, ap_int_base<W2, S2>> concat(const ap_int_base<W2, S2>& x) const {
    return {const_cast<ap_int_base&>(*this), const_cast<ap_int_base<W2, S2>&>(x)};
  }

  // In an assignment a range or concatenation counts with its low 64 bits, but for a range that has a name.
#define AP_ASSIGN(OP) \
  template <class T> \
  AP_INLINE ap_detail::if_true<ap_detail::ours<ap_int_base, T>(), ap_int_base&> operator OP##=(const T& x) { \
    return put(*this OP ap_detail::assigned<T>::of(x)); \
  } \
  template <int W2, bool S2> AP_INLINE ap_int_base& operator OP##=(ap_range_ref<W2, S2>& x) { \
    return put(*this OP x.get()); \
  }
  AP_ASSIGN(+)
  AP_ASSIGN(-)
  AP_ASSIGN(*)
  AP_ASSIGN(/)
  AP_ASSIGN(%)
  AP_ASSIGN(&)
  AP_ASSIGN(|)
  AP_ASSIGN(^)
  AP_ASSIGN(<<)
  AP_ASSIGN(>>)
#undef AP_ASSIGN

  AP_INLINE ap_int_base& operator++() { return put(*this + true); }
  AP_INLINE ap_int_base& operator--() { return put(*this - true); }
  AP_INLINE self operator++(int) { self old(*this); ++*this; return old; }
  AP_INLINE self operator--(int) { self old(*this); --*this; return old; }
  AP_INLINE self operator+() const { return self(*this); }
  AP_INLINE typename ap_detail::rtype<1, false, W, S>::sub operator-() const {
    return ap_int_base<1, false>(false) - *this;
  }
  AP_INLINE self operator~() const { return self(ap_int_base((bits)~(bits)V)); }
  AP_INLINE bool operator!() const { return V == 0; }

 private:
  template <class T> AP_INLINE ap_int_base& put(const T& x) { V = ap_int_base(x).V; return *this; }
};

template <int W> struct ap_int : ap_int_base<W, true> {
  typedef ap_int_base<W, true> base;
  using base::base;
  ap_int() = default;
  AP_INLINE ap_int(const base& x) : base(x) {}
};
template <int W> struct ap_uint : ap_int_base<W, false> {
  typedef ap_int_base<W, false> base;
  using base::base;
  ap_uint() = default;
  AP_INLINE ap_uint(const base& x) : base(x) {}
};

// -- Places in words --------------------------------------------------------------------------------------

// The bits hi..lo of a word; where hi is below lo, in reverse order.
template <int W, bool S> struct ap_range_ref {
  ap_int_base<W, S>& word;
  int hi, lo;

  AP_INLINE ap_range_ref(ap_int_base<W, S>& w, int h, int l) : word(w), hi(h), lo(l) {}
  ap_range_ref(const ap_range_ref&) = default;

  AP_INLINE ap_uint<W> get() const {
    typedef ap_detail::raw_t<W, false> bits;
    bits x = (bits)word.V;
    return ap_uint<W>(hi >= lo ? ap_detail::field<W>(x, hi, lo)
                               : ap_detail::field<W>(ap_detail::turned<W>(x), W - 1 - hi, W - 1 - lo));
  }
  template <int W2> AP_INLINE void set(const ap_int_base<W2, false>& value) const {
    typedef ap_detail::raw_t<W, false> bits;
    bits x = (bits)word.V, v = ap_uint<W>(value).V;
    word = ap_int_base<W, S>(
        hi >= lo ? ap_detail::with_field<W>(x, hi, lo, v)
                 : ap_detail::turned<W>(ap_detail::with_field<W>(ap_detail::turned<W>(x), W - 1 - hi, W - 1 - lo, v)));
  }
  AP_INLINE int length() const { return hi >= lo ? hi - lo + 1 : lo - hi + 1; }

  AP_INLINE operator unsigned long long() const { return get().to_uint64(); }
  AP_INLINE int to_int() const { return get().to_int(); }
  AP_INLINE unsigned to_uint() const { return get().to_uint(); }
  AP_INLINE long to_long() const { return get().to_long(); }
  AP_INLINE unsigned long to_ulong() const { return get().to_ulong(); }
  AP_INLINE long long to_int64() const { return get().to_int64(); }
  AP_INLINE unsigned long long to_uint64() const { return get().to_uint64(); }

  template <class T>
  AP_INLINE ap_detail::if_true<ap_detail::operand<T>::integer, const ap_range_ref&> operator=(const T& x) const {
    set(ap_uint<W>(static_cast<const typename ap_detail::given<T>::type&>(x)));
    return *this;
  }
  AP_INLINE const ap_range_ref& operator=(const ap_range_ref& x) const { set(x.get()); return *this; }
  AP_INLINE const ap_range_ref& operator=(const char* s) const { set(ap_uint<W>(s)); return *this; }

#define AP_REFUSED(DECLARATION, WHY) \
  template <class T = void> DECLARATION { static_assert(ap_detail::never<T>::value, WHY); }
#define AP_REDUCE "reduction of a range: AMD's header leaves its top bit out; reduce an ap_uint made of the range"
#define AP_OF_RANGE "an assignment with an operator to a range: AMD's header changes the whole word, or takes " \
                    "no such range; write x(hi, lo) = x(hi, lo) op y"
  AP_REFUSED(bool and_reduce() const, AP_REDUCE)
  AP_REFUSED(bool or_reduce() const, AP_REDUCE)
  AP_REFUSED(bool xor_reduce() const, AP_REDUCE)
#undef AP_REDUCE
#define AP_ASSIGN(OP) AP_REFUSED(void operator OP##=(const T&) const, AP_OF_RANGE)
  AP_ASSIGN(+)
  AP_ASSIGN(-)
  AP_ASSIGN(*)
  AP_ASSIGN(/)
  AP_ASSIGN(%)
  AP_ASSIGN(&)
  AP_ASSIGN(|)
  AP_ASSIGN(^)
  AP_ASSIGN(<<)
  AP_ASSIGN(>>)
#undef AP_ASSIGN
#undef AP_OF_RANGE
};

// One bit of a word. Among built-in numbers it is a bool: v[0] << 2 is an int.
template <int W, bool S> struct ap_bit_ref {
  ap_int_base<W, S>& word;
  int index;

  AP_INLINE ap_bit_ref(ap_int_base<W, S>& w, int i) : word(w), index(i) {}
  ap_bit_ref(const ap_bit_ref&) = default;
  AP_INLINE bool get() const { return word.test(index); }
  template <int W2> AP_INLINE void set(const ap_int_base<W2, false>& x) const { *this = x; }
  AP_INLINE operator bool() const { return get(); }
  AP_INLINE bool to_bool() const { return get(); }
  AP_INLINE bool operator~() const { return !get(); }
  AP_INLINE int length() const { return 1; }
  template <class T>
  AP_INLINE ap_detail::if_true<ap_detail::operand<T>::integer, const ap_bit_ref&> operator=(const T& x) const {
    word.set_bit(index, ap_detail::operand<typename ap_detail::given<T>::type>::value(x) != 0);
    return *this;
  }
  AP_INLINE const ap_bit_ref& operator=(const ap_bit_ref& x) const { return *this = x.get(); }

#define AP_ASSIGN(OP) \
  AP_REFUSED(void operator OP##=(const T&) const, \
             "AMD's header has no assignment with an operator to a bit of a word; write x[i] = x[i] op y")
  AP_ASSIGN(+)
  AP_ASSIGN(-)
  AP_ASSIGN(*)
  AP_ASSIGN(/)
  AP_ASSIGN(%)
  AP_ASSIGN(&)
  AP_ASSIGN(|)
  AP_ASSIGN(^)
  AP_ASSIGN(<<)
  AP_ASSIGN(>>)
#undef AP_ASSIGN
#undef AP_REFUSED
};

namespace ap_detail {

// How a concatenation keeps its parts: words by reference, places as they are.
template <class T, sort = operand<T>::is> struct part { typedef T type; typedef T kept; };
template <class T> struct part<T, sort::word> {
  typedef ap_int_base<operand<T>::width, operand<T>::sign> type;
  typedef type& kept;
};
template <class T> using part_t = typename part<T>::type;

template <class T, sort = operand<T>::is> struct length { static AP_INLINE int of(const T& x) { return x.length(); } };
template <class T> struct length<T, sort::number> { static AP_INLINE int of(const T&) { return operand<T>::width; } };

// `high` above `low`, in R::width bits. A range is as long as its bounds say, not as wide as its word; a number that is
// negative fills what that leaves above it, and after a concatenation AMD's header sign-extends it over that.
template <class R, class A, class B> AP_INLINE R joined(const A& high, const B& low) {
  typedef choose_t<is<A>(sort::number), R, ap_uint<operand<A>::width>> high_bits;
  typedef choose_t<is<A>(sort::concat) && is<B>(sort::number), R, ap_uint<operand<B>::width>> low_bits;
  return R(left<R::width, false>(R(high_bits(high)).V, (unsigned)length<B>::of(low)) | R(low_bits(low)).V);
}

}  // namespace ap_detail

// `high` above `low`, as a value and as a place.
template <int W1, class T1, int W2, class T2> struct ap_concat_ref {
  typename ap_detail::part<T1>::kept high;
  typename ap_detail::part<T2>::kept low;

  AP_INLINE ap_concat_ref(T1& h, T2& l) : high(h), low(l) {}
  ap_concat_ref(const ap_concat_ref&) = default;
  AP_INLINE int length() const { return high.length() + low.length(); }
  AP_INLINE ap_uint<W1 + W2> get() const { return ap_detail::joined<ap_uint<W1 + W2>>(high, low); }
  template <int W> AP_INLINE void set(const ap_int_base<W, false>& value) const {
    typedef ap_detail::raw_t<W1 + W2, false> bits;
    bits x = ap_uint<W1 + W2>(value).V;
    int split = low.length();
    high.set(ap_uint<W1>(ap_detail::field<W1 + W2>(x, split + high.length() - 1, split)));
    low.set(ap_uint<W2>(ap_detail::field<W1 + W2>(x, split - 1, 0)));
  }
  AP_INLINE operator unsigned long long() const { return get().to_uint64(); }
  template <class T>
  AP_INLINE ap_detail::if_true<ap_detail::operand<T>::integer, const ap_concat_ref&> operator=(const T& x) const {
    set(ap_uint<W1 + W2>(x));
    return *this;
  }
  AP_INLINE const ap_concat_ref& operator=(const ap_concat_ref& x) const { set(x.get()); return *this; }
};

namespace ap_detail {

template <class T> constexpr bool is_part() { return !is<T>(sort::other) && !is<T>(sort::number); }

// What (a, b) is: a place; with a number in it a value.
template <class A, class B, bool = is_part<A>() && is_part<B>(),
          bool = (is_part<A>() && is<B>(sort::number)) || (is<A>(sort::number) && is_part<B>())>
struct comma {};
template <class A, class B> struct comma<A, B, true, false> {
  typedef ap_concat_ref<operand<A>::width, part_t<A>, operand<B>::width, part_t<B>> type;
  static AP_INLINE type of(const A& a, const B& b) {
    return {const_cast<part_t<A>&>(static_cast<const part_t<A>&>(a)),
            const_cast<part_t<B>&>(static_cast<const part_t<B>&>(b))};
  }
};
template <class A, class B> struct comma<A, B, false, true> {
  typedef ap_uint<operand<A>::width + operand<B>::width> type;
  static AP_INLINE type of(const A& a, const B& b) { return joined<type>(a, b); }
};

}  // namespace ap_detail

// -- Operators --------------------------------------------------------------------------------------------

template <class A, class B> AP_INLINE typename ap_detail::comma<A, B>::type operator,(const A& a, const B& b) {
  return ap_detail::comma<A, B>::of(a, b);
}

// Both operands are extended to the result's width and sign first.
#define AP_BINARY(OP, RULE, TYPE) \
  template <class A, class B> \
  AP_INLINE typename ap_detail::RULE<A, B>::returned::TYPE operator OP(const A& a, const B& b) { \
    typedef ap_detail::RULE<A, B> rule; \
    typedef typename rule::computed::TYPE C; \
    return typename rule::returned::TYPE(C((typename C::raw)( \
        ap_detail::extend<C, typename rule::left>(a) OP ap_detail::extend<C, typename rule::right>(b)))); \
  }
AP_BINARY(*, result, mul)
AP_BINARY(+, result, add)
AP_BINARY(-, result, sub)
AP_BINARY(&, bitwise, logic)
AP_BINARY(|, bitwise, logic)
AP_BINARY(^, bitwise, logic)
#undef AP_BINARY

// As in AMD's simulation, a negative number is a large one where the other operand is unsigned and wider, and so is a
// negative divisor of which the remainder of an unsigned number is taken.
#define AP_DIVISION(OP, TYPE, SIGNED) \
  template <class A, class B> \
  AP_INLINE typename ap_detail::result<A, B>::returned::TYPE operator OP(const A& a, const B& b) { \
    typedef ap_detail::result<A, B> rule; \
    typedef typename rule::computed computed; \
    typedef ap_detail::word_t<computed::divided, computed::divides_signed && SIGNED> C; \
    return typename rule::returned::TYPE(typename computed::TYPE((typename C::raw)( \
        ap_detail::extend<C, typename rule::left>(a) OP ap_detail::extend<C, typename rule::right>(b)))); \
  }
AP_DIVISION(/, div, true)
AP_DIVISION(%, mod, rule::l::sign)
#undef AP_DIVISION

#define AP_COMPARE(OP, TYPE) \
  template <class A, class B> \
  AP_INLINE ap_detail::if_true<ap_detail::ours_to_compare<A, B>(), bool> operator OP(const A& a, const B& b) { \
    typedef ap_detail::compared<A, B> right; \
    typedef typename ap_detail::TYPE<A, right>::type C; \
    return (C)ap_detail::operand<A>::value(a) OP (C)ap_detail::operand<right>::value(b); \
  }
AP_COMPARE(<, order)
AP_COMPARE(<=, order)
AP_COMPARE(>, order)
AP_COMPARE(>=, order)
AP_COMPARE(==, equality)
AP_COMPARE(!=, equality)
#undef AP_COMPARE

#define AP_SHIFT(OP, FORWARD, BACKWARD) \
  template <class A, class B> \
  AP_INLINE typename ap_detail::shifted<A, B>::type operator OP(const A& a, const B& n) { \
    typedef ap_detail::shifted<A, B> rule; \
    typedef ap_detail::amount<typename rule::amount> amount; \
    constexpr int W = ap_detail::operand<A>::width; \
    constexpr bool S = ap_detail::operand<A>::sign; \
    const typename rule::amount given = static_cast<typename rule::given>(n); \
    auto k = amount::magnitude(given); \
    ap_detail::raw_t<W, S> x = ap_detail::operand<A>::value(a); \
    return typename rule::type(ap_detail::word_t<W, S>( \
        amount::negative(given) ? ap_detail::BACKWARD<W, S>(x, k) : ap_detail::FORWARD<W, S>(x, k))); \
  }
AP_SHIFT(<<, left, right)
AP_SHIFT(>>, right, left)
#undef AP_SHIFT
#undef AP_INLINE

#endif
