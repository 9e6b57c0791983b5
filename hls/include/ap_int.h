// SPDX-License-Identifier: Apache-2.0
//
// ap_int<W> / ap_uint<W> on clang's _BitInt: for C simulation and for the open HLS flow (C++14 and later).
//
// Promised: the value and the result type of AMD's ap_int for integers: + - * / % & | ^ ~ << >>, unary minus,
// comparisons, compound assignment, ++ and --, mixed with built-in integers and bool; range(hi, lo), x(hi,
// lo) and x[i] to read and to assign; construction from any integer (sign- or zero-extended, then truncated)
// and from a constant string "0x...", "0b..." or decimal, at compile time. Full-precision results: a product
// has W1 + W2 bits, a sum one bit more than its operands, a difference is signed; shifts and ~ keep the type
// of their left operand. A shift by a negative amount shifts the other way; a shift by W or more leaves only
// sign or zero bits.
//
// Not promised: fixed point, floating point operands, concatenation with `,`, reversed ranges (lo > hi),
// ranges outside the word (unchecked), printing, volatile objects, digits of a string that are no digits of
// its base. Unlike AMD's, `if (x)` looks at all bits of a word wider than 64.
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

namespace ap_detail {

#define AP_INLINE __attribute__((always_inline)) constexpr

constexpr int max(int a, int b) { return a > b ? a : b; }
constexpr int min(int a, int b) { return a < b ? a : b; }

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

template <bool B, class T> struct enable {};
template <class T> struct enable<true, T> { typedef T type; };

// An operand's width, signedness and value: words, references into words, built-in integers.
template <class T, bool I = __is_integral(T)> struct operand {
  static constexpr bool integer = false, is_word = false;
};
template <class T> struct operand<T, true> {
  static constexpr bool integer = true, is_word = false, sign = (T)-1 < (T)0;
  static constexpr int width = 8 * (int)sizeof(T);
  static AP_INLINE raw_t<width, sign> value(T x) { return (raw_t<width, sign>)x; }
};
template <> struct operand<bool, true> {
  static constexpr bool integer = true, is_word = false, sign = false;
  static constexpr int width = 1;
  static AP_INLINE raw_t<1, false> value(bool x) { return (raw_t<1, false>)(unsigned)x; }
};
template <int W, bool S> struct word_operand {
  static constexpr bool integer = true, is_word = true, sign = S;
  static constexpr int width = W;
  static AP_INLINE raw_t<W, S> value(const ap_int_base<W, S>& x) { return x.V; }
};
template <int W, bool S> struct operand<ap_int_base<W, S>, false> : word_operand<W, S> {};
template <int W> struct operand<ap_int<W>, false> : word_operand<W, true> {};
template <int W> struct operand<ap_uint<W>, false> : word_operand<W, false> {};
template <int W, bool S> struct operand<ap_range_ref<W, S>, false> {
  static constexpr bool integer = true, is_word = true, sign = false;
  static constexpr int width = W;
  static AP_INLINE raw_t<W, false> value(const ap_range_ref<W, S>& x) { return x.get().V; }
};
template <int W, bool S> struct operand<ap_bit_ref<W, S>, false> {
  static constexpr bool integer = true, is_word = true, sign = false;
  static constexpr int width = 1;
  static AP_INLINE raw_t<1, false> value(const ap_bit_ref<W, S>& x) {
    return (raw_t<1, false>)(unsigned)(bool)x;
  }
};

// Two operands, one of them a word (otherwise C++'s own operators are meant).
template <class A, class B> struct words {
  static constexpr bool value =
      operand<A>::integer && operand<B>::integer && (operand<A>::is_word || operand<B>::is_word);
};

// Widths and signs of results.
template <class A, class B, bool = words<A, B>::value> struct result {};
template <class A, class B> struct result<A, B, true> {
  static constexpr int wa = operand<A>::width, wb = operand<B>::width;
  static constexpr bool sa = operand<A>::sign, sb = operand<B>::sign;
  static constexpr int both = max(wa + (sb && !sa), wb + (sa && !sb));  // holds either operand
  typedef word_t<wa + wb, sa || sb> mul;
  typedef word_t<both + 1, sa || sb> add;
  typedef word_t<both + 1, true> sub;
  typedef word_t<both, sa || sb> logic;
  typedef word_t<wa + sb, sa || sb> div;
  typedef word_t<min(wa, wb + (!sb && sa)), sa> mod;
};

// The type two operands are compared in.
template <class A, class B> struct compare {
  static constexpr int wa = operand<A>::width, wb = operand<B>::width;
  static constexpr bool mixed = operand<A>::sign != operand<B>::sign;
  static constexpr int unsigned_width = operand<A>::sign ? wb : wa, signed_width = operand<A>::sign ? wa : wb;
  static constexpr bool as_bits = mixed && unsigned_width >= 32 && unsigned_width >= signed_width;
  typedef raw_t<as_bits ? unsigned_width : max(wa, wb) + 1, !as_bits> type;
};

template <class A, class B, class R>
using if_words = typename enable<words<A, B>::value, R>::type;

template <class R, class T> AP_INLINE raw_t<R::width, R::is_signed> extend(const T& x) {
  return wrap<R::width, R::is_signed>::of(operand<T>::value(x));
}

// A shift keeps the type of its left operand, a word.
template <class A, class B, bool = operand<A>::is_word && operand<B>::integer> struct shifted {};
template <class A, class B> struct shifted<A, B, true> {
  typedef word_t<operand<A>::width, operand<A>::sign> type;
};

// A shift amount: magnitude and direction. Unsigned amounts never turn round.
template <class T, bool S = operand<T>::sign> struct amount {
  static AP_INLINE bool negative(const T&) { return false; }
  static AP_INLINE unsigned magnitude(const T& n) { return (unsigned)operand<T>::value(n); }
};
template <class T> struct amount<T, true> {
  static AP_INLINE bool negative(const T& n) { return operand<T>::value(n) < 0; }
  static AP_INLINE unsigned magnitude(const T& n) {
    return negative(n) ? 0u - (unsigned)operand<T>::value(n) : (unsigned)operand<T>::value(n);
  }
};
template <int W, bool S> AP_INLINE raw_t<W, S> left(raw_t<W, S> x, unsigned n) {
  return n >= (unsigned)W ? (raw_t<W, S>)0 : wrap<W, S>::of((raw_t<W, false>)((raw_t<W, false>)x << n));
}
template <int W, bool S> AP_INLINE raw_t<W, S> right(raw_t<W, S> x, unsigned n) {
  return n >= (unsigned)W ? (x < 0 ? (raw_t<W, S>)-1 : (raw_t<W, S>)0) : (raw_t<W, S>)(x >> n);
}

// Fields of a word; constant bounds make these plain wires.
template <int W> AP_INLINE raw_t<W, false> mask(int hi, int lo) {
  return (raw_t<W, false>)((raw_t<W, false>)~(raw_t<W, false>)0 >> (unsigned)(W - 1 - (hi - lo)));
}

// Value of a constant string. Sixteen hex digits at a time: the compiler evaluates this for every ROM word.
template <int W> constexpr raw_t<W, false> parse(const char* s, int radix) {
  typedef raw_t<W, false> U;
  bool negative = *s == '-';
  if (negative) ++s;
  if (s[0] == '0' && (s[1] == 'x' || s[1] == 'X')) { radix = 16; s += 2; }
  else if (s[0] == '0' && (s[1] == 'b' || s[1] == 'B')) { radix = 2; s += 2; }
  U r = 0;
  if (radix == 16) {
    while (*s) {
      unsigned long long chunk = 0;
      unsigned n = 0;
      for (; *s && n < 64; n += 4, ++s) chunk = chunk << 4 | (unsigned long long)((*s & 15) + 9 * (*s >> 6));
      r = (U)(W > 64 ? left<W, false>(r, n) : (n >= (unsigned)W ? (U)0 : (U)(r << n))) | (U)chunk;
    }
  } else {
    for (; *s; ++s) r = (U)((U)(r * (U)(unsigned)radix) + (U)(unsigned)(*s - '0'));
  }
  return negative ? (U)((U)0 - r) : r;
}

}  // namespace ap_detail

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
  constexpr ap_int_base(const char* s) : V(ap_detail::wrap<W, S>::of(ap_detail::parse<W>(s, 10))) {}
  constexpr ap_int_base(const char* s, int radix)
      : V(ap_detail::wrap<W, S>::of(ap_detail::parse<W>(s, radix))) {}

  // To built-in integers (low bits); explicit conditions look at every bit.
  AP_INLINE operator typename ap_detail::host<S>::type() const {
    return (typename ap_detail::host<S>::type)V;
  }
  AP_INLINE explicit operator bool() const { return V != 0; }
  AP_INLINE int to_int() const { return (int)V; }
  AP_INLINE unsigned to_uint() const { return (unsigned)V; }
  AP_INLINE long to_long() const { return (long)V; }
  AP_INLINE unsigned long to_ulong() const { return (unsigned long)V; }
  AP_INLINE long long to_int64() const { return (long long)V; }
  AP_INLINE unsigned long long to_uint64() const { return (unsigned long long)V; }
  AP_INLINE bool to_bool() const { return V != 0; }
  AP_INLINE int length() const { return W; }

  // Fields. Reading through a const word gives a value, otherwise a reference that can be assigned.
  AP_INLINE ap_range_ref<W, S> range(int hi, int lo) { return ap_range_ref<W, S>(*this, hi, lo); }
  AP_INLINE ap_uint<W> range(int hi, int lo) const { return ap_uint<W>(field(hi, lo)); }
  AP_INLINE ap_range_ref<W, S> operator()(int hi, int lo) { return ap_range_ref<W, S>(*this, hi, lo); }
  AP_INLINE ap_uint<W> operator()(int hi, int lo) const { return ap_uint<W>(field(hi, lo)); }
  AP_INLINE ap_bit_ref<W, S> operator[](int i) { return ap_bit_ref<W, S>(*this, i); }
  AP_INLINE bool operator[](int i) const { return bit(i); }
  AP_INLINE bool test(int i) const { return bit(i); }
  AP_INLINE bits field(int hi, int lo) const {
    return (bits)((bits)((bits)V >> (unsigned)lo) & ap_detail::mask<W>(hi, lo));
  }
  AP_INLINE void set_field(int hi, int lo, bits x) {
    bits m = ap_detail::mask<W>(hi, lo);
    bits kept = (bits)((bits)V & (bits)~(bits)(m << (unsigned)lo));
    V = ap_detail::wrap<W, S>::of((bits)(kept | (bits)((bits)(x & m) << (unsigned)lo)));
  }
  AP_INLINE bool bit(int i) const { return ((bits)V >> (unsigned)i & (bits)1) != 0; }

#define AP_ASSIGN(OP) \
  template <class T> \
  AP_INLINE ap_detail::if_words<ap_int_base, T, ap_int_base&> operator OP##=(const T& x) { \
    return set(*this OP x); \
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

  AP_INLINE ap_int_base& operator++() { return set(*this + true); }
  AP_INLINE ap_int_base& operator--() { return set(*this - true); }
  AP_INLINE self operator++(int) { self old(*this); ++*this; return old; }
  AP_INLINE self operator--(int) { self old(*this); --*this; return old; }
  AP_INLINE self operator+() const { return self(*this); }
  AP_INLINE typename ap_detail::result<ap_int_base<1, false>, ap_int_base>::sub operator-() const {
    return ap_int_base<1, false>(false) - *this;
  }
  AP_INLINE self operator~() const { return self(ap_int_base((bits)~(bits)V)); }
  AP_INLINE bool operator!() const { return V == 0; }

 private:
  template <class T> AP_INLINE ap_int_base& set(const T& x) { V = ap_int_base(x).V; return *this; }
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

// The bits hi..lo of a word, as a place.
template <int W, bool S> struct ap_range_ref {
  ap_int_base<W, S>& word;
  int hi, lo;

  AP_INLINE ap_range_ref(ap_int_base<W, S>& w, int h, int l) : word(w), hi(h), lo(l) {}
  ap_range_ref(const ap_range_ref&) = default;
  AP_INLINE ap_uint<W> get() const { return ap_uint<W>(word.field(hi, lo)); }
  AP_INLINE operator unsigned long long() const { return get().to_uint64(); }
  AP_INLINE int to_int() const { return get().to_int(); }
  AP_INLINE unsigned to_uint() const { return get().to_uint(); }
  AP_INLINE long long to_int64() const { return get().to_int64(); }
  AP_INLINE unsigned long long to_uint64() const { return get().to_uint64(); }
  AP_INLINE int length() const { return hi - lo + 1; }
  template <class T>
  AP_INLINE ap_detail::if_words<ap_uint<W>, T, const ap_range_ref&> operator=(const T& x) const {
    word.set_field(hi, lo, ap_uint<W>(x).V);
    return *this;
  }
  AP_INLINE const ap_range_ref& operator=(const ap_range_ref& x) const {
    word.set_field(hi, lo, x.get().V);
    return *this;
  }
};

// One bit of a word, as a place.
template <int W, bool S> struct ap_bit_ref {
  ap_int_base<W, S>& word;
  int index;

  AP_INLINE ap_bit_ref(ap_int_base<W, S>& w, int i) : word(w), index(i) {}
  ap_bit_ref(const ap_bit_ref&) = default;
  AP_INLINE operator bool() const { return word.bit(index); }
  AP_INLINE bool to_bool() const { return word.bit(index); }
  template <class T>
  AP_INLINE ap_detail::if_words<ap_uint<1>, T, const ap_bit_ref&> operator=(const T& x) const {
    word.set_field(index, index, (ap_detail::raw_t<W, false>)(x != 0 ? 1u : 0u));
    return *this;
  }
  AP_INLINE const ap_bit_ref& operator=(const ap_bit_ref& x) const { return *this = (bool)x; }
};

// Both operands are extended to the result's width and sign first.
#define AP_BINARY(OP, RESULT) \
  template <class A, class B> \
  AP_INLINE typename ap_detail::result<A, B>::RESULT operator OP(const A& a, const B& b) { \
    typedef typename ap_detail::result<A, B>::RESULT R; \
    return R((typename R::raw)(ap_detail::extend<R>(a) OP ap_detail::extend<R>(b))); \
  }
AP_BINARY(*, mul)
AP_BINARY(+, add)
AP_BINARY(-, sub)
AP_BINARY(&, logic)
AP_BINARY(|, logic)
AP_BINARY(^, logic)
#undef AP_BINARY

#define AP_DIVISION(OP, RESULT) \
  template <class A, class B> \
  AP_INLINE typename ap_detail::result<A, B>::RESULT operator OP(const A& a, const B& b) { \
    typedef typename ap_detail::result<A, B>::logic C; \
    return typename ap_detail::result<A, B>::RESULT( \
        (typename C::raw)(ap_detail::extend<C>(a) OP ap_detail::extend<C>(b))); \
  }
AP_DIVISION(/, div)
AP_DIVISION(%, mod)
#undef AP_DIVISION

// C's rule between signs: numbers compare as numbers, unless the unsigned one has 32 bits or more and is no
// narrower.
#define AP_COMPARE(OP) \
  template <class A, class B> \
  AP_INLINE ap_detail::if_words<A, B, bool> operator OP(const A& a, const B& b) { \
    typedef typename ap_detail::compare<A, B>::type C; \
    return (C)ap_detail::operand<A>::value(a) OP (C)ap_detail::operand<B>::value(b); \
  }
AP_COMPARE(<)
AP_COMPARE(<=)
AP_COMPARE(>)
AP_COMPARE(>=)
AP_COMPARE(==)
AP_COMPARE(!=)
#undef AP_COMPARE

#define AP_SHIFT(OP, FORWARD, BACKWARD) \
  template <class A, class B> \
  AP_INLINE typename ap_detail::shifted<A, B>::type operator OP(const A& a, const B& n) { \
    constexpr int W = ap_detail::operand<A>::width; \
    constexpr bool S = ap_detail::operand<A>::sign; \
    unsigned k = ap_detail::amount<B>::magnitude(n); \
    ap_detail::raw_t<W, S> x = ap_detail::operand<A>::value(a); \
    return ap_detail::word_t<W, S>(ap_detail::amount<B>::negative(n) ? ap_detail::BACKWARD<W, S>(x, k) \
                                                                     : ap_detail::FORWARD<W, S>(x, k)); \
  }
AP_SHIFT(<<, left, right)
AP_SHIFT(>>, right, left)
#undef AP_SHIFT
#undef AP_INLINE

#endif
