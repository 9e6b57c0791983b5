// SPDX-License-Identifier: Apache-2.0
//
// Every operator, constructor, conversion and method of ap_int and ap_uint on operands of every sort. One program,
// compiled with AMD's headers and with ours: it prints for each pair of types and each operation the type of the
// result and a hash of the values, or that there is no such operation. With an argument, the lines that contain it
// are printed in full, value for value.
#ifndef RULES_HPP
#define RULES_HPP
#include "ap_int.h"

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <type_traits>
#include <utility>

// -- results: their types and bits
template <class T, class = void> struct shape {};
template <int W, bool S> struct shape<ap_int_base<W, S>> {
  static std::string name() { return (S ? "int" : "uint") + std::to_string(W); }
};
template <int W> struct shape<ap_int<W>> : shape<ap_int_base<W, true>> {};
template <int W> struct shape<ap_uint<W>> : shape<ap_int_base<W, false>> {};
template <int W, bool S> struct shape<ap_bit_ref<W, S>> {
  static std::string name() { return "bit of " + shape<ap_int_base<W, S>>::name(); }
};
template <int W, bool S> struct shape<ap_range_ref<W, S>> {
  static std::string name() { return "range of " + shape<ap_int_base<W, S>>::name(); }
};
template <int W, class A, int V, class B> struct shape<ap_concat_ref<W, A, V, B>> {
  static std::string name() { return "concat of " + std::to_string(W) + " and " + std::to_string(V); }
};
template <class T> struct shape<T, typename std::enable_if<std::is_integral<T>::value>::type> {
  static std::string name() {
    if (std::is_same<T, bool>::value) return "bool";
    return (std::is_signed<T>::value ? "s" : "u") + std::to_string(8 * sizeof(T));
  }
};
template <class T> using plain = typename std::remove_cv<typename std::remove_reference<T>::type>::type;

struct Out {
  std::string title, values;
  uint64_t hash = 1469598103934665603u;
  bool full = false;
  void word(uint64_t x) {
    hash = (hash ^ x) * 1099511628211u;
    hash ^= hash >> 29;
    if (full) {
      char text[32];
      std::snprintf(text, sizeof text, " %llx", (unsigned long long)x);
      values += text;
    }
  }
  template <int W, bool S> void value(const ap_int_base<W, S>& x) {
    for (int low = 0; low < W; low += 64) {
      uint64_t w = 0;
      if (W <= 64) w = x.to_uint64();
      else for (int k = low; k < low + 64 && k < W; ++k) w |= (uint64_t)x.test(k) << (k - low);
      word(w);
    }
  }
  template <int W, bool S> void value(const ap_range_ref<W, S>& x) { value(x.get()); word(x.length()); }
  template <int W, bool S> void value(const ap_bit_ref<W, S>& x) { word(x.to_bool()); }
  template <int W, class A, int V, class B> void value(const ap_concat_ref<W, A, V, B>& x) {
    value(x.get());
    word(x.length());
  }
  template <class T> typename std::enable_if<std::is_integral<T>::value>::type value(T x) { word((uint64_t)x); }
};
static const char* wanted = nullptr;
struct Line : Out {
  Line(const std::string& what) {
    title = what;
    full = wanted && what.find(wanted) != std::string::npos;
  }
  ~Line() {
    if (!wanted) std::printf("%s | %016llx\n", title.c_str(), (unsigned long long)hash);
    else if (full) std::printf("%s |%s\n", title.c_str(), values.c_str());
  }
};

// -- operands
// Values of W bits: all of them up to 5 bits, corners and random ones above.
template <int W> struct Values {
  static constexpr int count = W <= 5 ? 1 << W : 24;
  template <class T> static void set(T& x, int i) {
    if (W <= 5) { x = i; return; }
    uint64_t state = i * 0x9E3779B97F4A7C15u + W;
    for (int k = 0; k < W; ++k) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      bool random = state >> 63;
      bool bit = i == 0 ? false : i == 1 ? true : i == 2 ? k == W - 1 : i == 3 ? k != W - 1 : i == 4 ? k == 0
               : i == 5 ? k != 0 : i < 10 ? random && k < 6 : i < 14 ? random || k > 6 : random;
      x.set_bit(k, bit);
    }
  }
};
template <int W, bool S> using word_of = typename std::conditional<S, ap_int<W>, ap_uint<W>>::type;

template <int W, bool S> struct Word {
  typedef word_of<W, S> type;
  static constexpr int count = Values<W>::count;
  type x;
  type& at(int i) { Values<W>::set(x, i); return x; }
  bool zero(int i) { at(i); return !x.or_reduce(); }
  template <class O> void after(O& out) { out.value(x); }
  static std::string name() { return shape<type>::name(); }
};
template <int W, bool S> struct Const {
  typedef word_of<W, S> type;
  static constexpr int count = Values<W>::count;
  type x;
  const type& at(int i) { Values<W>::set(x, i); return x; }
  bool zero(int i) { at(i); return !x.or_reduce(); }
  template <class O> void after(O& out) { out.value(x); }
  static std::string name() { return "const " + shape<type>::name(); }
};
template <int W, bool S> struct Bit {
  typedef word_of<W, S> type;
  static constexpr int count = W * (W <= 5 ? 2 : 1);
  type x;
  ap_bit_ref<W, S> at(int i) {
    Values<W>::set(x, 1 + i / W * 9);
    if (i % 3 == 0) x.set_bit(i % W, 0);
    return x[i % W];
  }
  bool zero(int i) { return !at(i).to_bool(); }
  template <class O> void after(O& out) { out.value(x); }
  static std::string name() { return "bit of " + shape<type>::name(); }
};
template <int W, bool S> struct Range {
  typedef word_of<W, S> type;
  static constexpr int values = W <= 3 ? 1 << W : 6, count = W <= 3 ? W * W * values : 60;
  type x;
  ap_range_ref<W, S> at(int i) {
    if (W <= 3) { x = i % values; return x.range(i / values % W, i / values / W); }
    Values<W>::set(x, W <= 5 ? i * 7 % (1 << W) : i % Values<W>::count);
    int high = i * 37 % W, low = i * 11 % W;
    if (i % 5 == 0) high = W - 1, low = 0;
    return x.range(high, low);
  }
  bool zero(int i) { return at(i).to_uint64() == 0; }  // an assignment divides by the low 64 bits
  template <class O> void after(O& out) { out.value(x); }
  static std::string name() { return "range of " + shape<type>::name(); }
};
// The same with names: AMD's concatenations refer to the places that they are made of.
template <class PLACE> struct Named : PLACE {
  typedef decltype(std::declval<PLACE&>().at(0)) place;
  place* named = nullptr;
  place& at(int i) {
    delete named;
    named = new place(PLACE::at(i));
    return *named;
  }
  static std::string name() { return "named " + PLACE::name(); }
};
template <class A, class B> struct Concat {
  static constexpr int count = A::count * B::count > 40 ? 40 : A::count * B::count;
  A a;
  B b;
  auto at(int i) -> decltype((a.at(0), b.at(0))) { return (a.at(i % A::count), b.at(i * 7 % B::count)); }
  bool zero(int i) { return (unsigned long long)at(i) == 0; }
  template <class O> void after(O& out) { a.after(out); b.after(out); }
  static std::string name() { return "(" + A::name() + ", " + B::name() + ")"; }
};
template <class T> struct Number {
  static constexpr int count = std::is_same<T, bool>::value ? 2 : 16;
  T at(int i) {
    static const long long of[16] = {0,  1,  -1, 2,   5,   -3,      7,         100,
                                     -100, 31, 32, 64, -77, 0x123456789abcdef, 1ll << 40, -(1ll << 41)};
    return (T)of[i];
  }
  bool zero(int i) { return at(i) == 0; }
  template <class O> void after(O&) {}
  static std::string name() { return shape<T>::name(); }
};

// -- operations
inline int given(int x) { return x; }
#define BINARY(NAME, TEXT, EXPRESSION) \
  struct NAME { \
    static const char* name() { return TEXT; } \
    template <class A, class B> static auto of(A&& a, B&& b) -> decltype(EXPRESSION) { return EXPRESSION; } \
  };
#define OPERAND_A std::forward<A>(a)
#define OPERAND_B std::forward<B>(b)
#define INFIX(NAME, OP) BINARY(NAME, #OP, OPERAND_A OP OPERAND_B)
INFIX(Plus, +) INFIX(Minus, -) INFIX(Times, *) INFIX(Over, /) INFIX(Modulo, %) INFIX(And, &) INFIX(Or, |)
INFIX(Xor, ^) INFIX(Left, <<) INFIX(Right, >>) INFIX(Less, <) INFIX(LessEqual, <=) INFIX(More, >) INFIX(MoreEqual, >=)
INFIX(Equal, ==) INFIX(Unequal, !=) INFIX(PlusSet, +=) INFIX(MinusSet, -=) INFIX(TimesSet, *=) INFIX(OverSet, /=)
INFIX(ModuloSet, %=) INFIX(AndSet, &=) INFIX(OrSet, |=) INFIX(XorSet, ^=) INFIX(LeftSet, <<=) INFIX(RightSet, >>=)
INFIX(Set, =)
BINARY(Comma, ",", (OPERAND_A, OPERAND_B))
template <class O> struct divides { static constexpr bool value = false; };
template <> struct divides<Over> { static constexpr bool value = true; };
template <> struct divides<Modulo> { static constexpr bool value = true; };
template <> struct divides<OverSet> { static constexpr bool value = true; };
template <> struct divides<ModuloSet> { static constexpr bool value = true; };
template <class O> struct assigns { static constexpr bool value = false; };
#define ASSIGNS(O) template <> struct assigns<O> { static constexpr bool value = true; };
ASSIGNS(PlusSet) ASSIGNS(MinusSet) ASSIGNS(TimesSet) ASSIGNS(OverSet) ASSIGNS(ModuloSet) ASSIGNS(AndSet)
ASSIGNS(OrSet) ASSIGNS(XorSet) ASSIGNS(LeftSet) ASSIGNS(RightSet)

#define UNARY(NAME, TEXT, EXPRESSION) \
  struct NAME { \
    static const char* name() { return TEXT; } \
    template <class A> static auto of(A&& a) -> decltype(EXPRESSION) { return EXPRESSION; } \
  };
UNARY(Positive, "+x", +OPERAND_A) UNARY(Negative, "-x", -OPERAND_A) UNARY(Inverse, "~x", ~OPERAND_A)
UNARY(Not, "!x", !OPERAND_A) UNARY(BeforeUp, "++x", ++OPERAND_A) UNARY(BeforeDown, "--x", --OPERAND_A)
UNARY(AfterUp, "x++", OPERAND_A++) UNARY(AfterDown, "x--", OPERAND_A--)
UNARY(Truth, "x ? 1 : 0", (OPERAND_A ? 1 : 0)) UNARY(AsInt, "int(x)", static_cast<int>(OPERAND_A))
UNARY(AsLong, "(long long)x", static_cast<long long>(OPERAND_A))
UNARY(AsByte, "(unsigned char)x", static_cast<unsigned char>(OPERAND_A))
UNARY(AsBool, "bool(x)", static_cast<bool>(OPERAND_A))
UNARY(Implicit, "f(int) of x", given(OPERAND_A))
#define METHOD(NAME, CALL) UNARY(NAME, #CALL, OPERAND_A.CALL)
METHOD(ToBool, to_bool()) METHOD(ToChar, to_char()) METHOD(ToSchar, to_schar()) METHOD(ToUchar, to_uchar())
METHOD(ToShort, to_short()) METHOD(ToUshort, to_ushort()) METHOD(ToInt, to_int()) METHOD(ToUint, to_uint())
METHOD(ToLong, to_long()) METHOD(ToUlong, to_ulong()) METHOD(ToInt64, to_int64()) METHOD(ToUint64, to_uint64())
METHOD(Length, length()) METHOD(IsZero, iszero()) METHOD(Is_zero, is_zero()) METHOD(Sign, sign())
METHOD(AndReduce, and_reduce()) METHOD(NandReduce, nand_reduce()) METHOD(OrReduce, or_reduce())
METHOD(NorReduce, nor_reduce()) METHOD(XorReduce, xor_reduce()) METHOD(XnorReduce, xnor_reduce())
METHOD(Leading, countLeadingZeros()) METHOD(Reverse, reverse()) METHOD(BNot, b_not()) METHOD(Get, get())
METHOD(Whole, range())

template <int...> struct always { typedef void type; };
template <class O, class A, class B>
auto viable2(int) -> decltype(void(O::of(std::declval<A>(), std::declval<B>())), std::true_type());
template <class O, class A, class B> std::false_type viable2(...);
template <class O, class A> auto viable1(int) -> decltype(void(O::of(std::declval<A>())), std::true_type());
template <class O, class A> std::false_type viable1(...);

template <bool> struct Do {
  template <class O, class X, class Y> static void binary(X& x, Y& y) {
    typedef decltype(O::of(x.at(0), y.at(0))) result;
    typedef Do<!std::is_void<result>::value> Show;
    Line line(x.name() + " " + O::name() + " " + y.name() + " -> " + Show::template type<result>());
    for (int i = 0; i < X::count; ++i)
      for (int j = 0; j < Y::count; ++j) {
        if (divides<O>::value && y.zero(j)) continue;
        y.at(j);
        Show::template show2<O>(line, x, y, i, j);
        x.after(line);
        y.after(line);
      }
  }
  template <class O, class X, class Y> static void show2(Line& line, X& x, Y& y, int i, int j) {
    line.value(O::of(x.at(i), y.at(j)));
  }
  template <class T> static std::string type() { return shape<plain<T>>::name(); }
  template <class O, class X> static void unary(X& x) {
    typedef decltype(O::of(x.at(0))) result;
    typedef Do<!std::is_void<result>::value> Show;
    Line line(std::string(O::name()) + " of " + x.name() + " -> " + Show::template type<result>());
    for (int i = 0; i < X::count; ++i) {
      Show::template show1<O>(line, x, i);
      x.after(line);
    }
  }
  template <class O, class X> static void show1(Line& line, X& x, int i) { line.value(O::of(x.at(i))); }
};
template <> struct Do<false> {
  template <class O, class X, class Y> static void binary(X& x, Y& y) {
    Line line(x.name() + " " + O::name() + " " + y.name() + " -> none");
  }
  template <class O, class X, class Y> static void show2(Line&, X& x, Y& y, int i, int j) { O::of(x.at(i), y.at(j)); }
  template <class T> static std::string type() { return "void"; }
  template <class O, class X> static void unary(X& x) {
    Line line(std::string(O::name()) + " of " + x.name() + " -> none");
  }
  template <class O, class X> static void show1(Line&, X& x, int i) { O::of(x.at(i)); }
};

// What our header refuses at compile time although AMD's has it (docs/ap_int.md); tests/test_ap_int.py checks that it
// does. What an operand counts as beside a word:
template <int W, bool S, bool PLACE> struct counts_as {
  static constexpr int width = W;
  static constexpr bool sign = S, place = PLACE;
};
template <class T> struct counts : counts_as<8 * sizeof(T), std::is_signed<T>::value, false> {};
template <> struct counts<bool> : counts_as<1, false, false> {};
template <int W, bool S> struct counts<ap_int_base<W, S>> : counts_as<W, S, false> {};
template <int W> struct counts<ap_int<W>> : counts_as<W, true, false> {};
template <int W> struct counts<ap_uint<W>> : counts_as<W, false, false> {};
template <int W, bool S> struct counts<ap_range_ref<W, S>> : counts_as<W, false, true> {};
template <int W, bool S> struct counts<ap_bit_ref<W, S>> : counts_as<1, false, true> {};
template <int W, class A, int V, class B> struct counts<ap_concat_ref<W, A, V, B>> : counts_as<64, false, true> {};
template <class O, class A, class B> constexpr bool refused2() {
  typedef counts<plain<A>> a;
  typedef counts<plain<B>> b;
  // AMD's long division gives wrong remainders: tests/test_ap_int.py compares ours with Python's.
  constexpr bool remainder = std::is_same<O, Modulo>::value || std::is_same<O, ModuloSet>::value;
  // AMD's `*=` of long words looks at the sign of the bits that a wider factor has too many.
  constexpr bool product = std::is_same<O, TimesSet>::value && a::width > 64 && b::width > a::width;
  return (remainder && (a::width > 63 || b::width > 63)) || product || (assigns<O>::value && a::place);
}
template <class O, class A> constexpr bool refused1() {
  typedef counts<plain<A>> a;
  return ((std::is_same<O, XorReduce>::value || std::is_same<O, XnorReduce>::value) && a::sign && a::width % 2) ||
         ((std::is_same<O, ToBool>::value || std::is_same<O, NandReduce>::value) && !a::place && a::width > 64) ||
         (a::place && (std::is_same<O, AndReduce>::value || std::is_same<O, OrReduce>::value ||
                       std::is_same<O, XorReduce>::value));
}

template <class X, class Y, class... O> void binaries() {
  X x;
  Y y;
  typedef decltype(x.at(0)) A;
  typedef decltype(y.at(0)) B;
  int order[] = {(Do<!refused2<O, A, B>() && decltype(viable2<O, A, B>(0))::value>::template binary<O>(x, y), 0)...};
  (void)order;
}
template <class X, class... O> void unaries() {
  X x;
  typedef decltype(x.at(0)) A;
  int order[] = {(Do<!refused1<O, A>() && decltype(viable1<O, A>(0))::value>::template unary<O>(x), 0)...};
  (void)order;
}
template <class X, class Y> void pair() {
  binaries<X, Y, Plus, Minus, Times, Over, Modulo, And, Or, Xor, Left, Right, Less, LessEqual, More, MoreEqual, Equal,
           Unequal, PlusSet, MinusSet, TimesSet, OverSet, ModuloSet, AndSet, OrSet, XorSet, LeftSet, RightSet, Set,
           Comma>();
}
template <class X> void single() {
  unaries<X, Positive, Negative, Inverse, Not, BeforeUp, BeforeDown, AfterUp, AfterDown, Truth, AsInt, AsLong, AsByte,
          AsBool, Implicit, ToBool, ToChar, ToSchar, ToUchar, ToShort, ToUshort, ToInt, ToUint, ToLong, ToUlong,
          ToInt64, ToUint64, Length, IsZero, Is_zero, Sign, AndReduce, NandReduce, OrReduce, NorReduce, XorReduce, XnorReduce,
          Leading, Reverse, BNot, Get, Whole>();
}

// Methods that take something, and what else is no operator.
enum Colour { RED, GREEN, BLUE = 5 };
#define SHOW(TEXT, ...) \
  { \
    Line line(std::string(TEXT) + " of " + name); \
    for (int i = 0; i < values::count; ++i) { \
      word x; \
      values::set(x, i); \
      const word c = x; \
      int k = i % W, l = i * 5 % W; \
      (void)c, (void)k, (void)l; \
      __VA_ARGS__ \
      line.value(x); \
    } \
  }
template <bool> struct Rotations {
  template <class word, class values> static void show(const std::string& name) {
    constexpr int W = word::width;
    SHOW("lrotate", x.lrotate(k);)
    SHOW("rrotate", x.rrotate(k);)
  }
};
template <> struct Rotations<false> {
  template <class word, class values> static void show(const std::string&) {}
};
template <int W, bool S> void methods() {
  typedef word_of<W, S> word;
  typedef Values<W> values;
  constexpr bool rotates = !S || W <= 64;
  const std::string name = shape<word>::name();
  SHOW("set", x.set(k);)
  SHOW("set to", x.set(k, l & 1); x.set_bit(l, k & 1);)
  SHOW("clear", x.clear(k);)
  SHOW("invert", x.invert(k);)
  SHOW("test", line.value(x.test(k)); line.value(x.get_bit(l)); line.value(c[k]); line.value(c.bit(l));)
  SHOW("set from a word", x.set(ap_uint<W>(5)); x.set(ap_uint<3>(2));)
  SHOW("bit", x.bit(k) = x.bit(l); x.bit(ap_uint<8>(l)) = !x[ap_uint<9>(k)]; x[k] = x(l, 0); x[l] = 6;)
  SHOW("not", line.value(~x[k]); line.value(!x[k]); if (~x[l]) x = 1;)
  SHOW("read and write", word y = x.read(); x.write(y + 1);)
  SHOW("concat", line.value(x.concat(c)); line.value(x.concat(ap_uint<3>(5)));)
  SHOW("range of words", line.value(x.range(ap_uint<9>(k), ap_int<9>(l)));
       line.value(x(ap_uint<9>(l), ap_uint<9>(k)));)
  SHOW("range of const", c(k, l) = x; line.value(c); c.range() = 1; line.value(c); c.range(k, 0) = c(l, 0);
       line.value(c);)
  SHOW("range from a string", x(k, l) = "0x5";)
  SHOW("parts", ap_uint<7> y = 0; ap_int<W> z; (z, y) = (x, ap_uint<7>(k)); line.value(z); line.value(y);
       (z, y[3], y(6, 4)) = x; line.value(z); line.value(y);)
  SHOW("ternary", line.value(k & 1 ? x : c); line.value(k & 1 ? x[k] : x[l]); line.value(l & 1 ? x(k, l) : x(l, k));
       line.value(k & 1 ? x[k] : false);)
  SHOW("enumeration", x = BLUE; line.value(x + GREEN); line.value(x == BLUE); line.value(x & BLUE); x -= RED;
       line.value(BLUE < x); line.value((x, GREEN)); x(k, k) = GREEN;)
  SHOW("index", int table[256]; for (int n = 0; n < 256; ++n) table[n] = n * n; line.value(table[ap_uint<8>(x)]);
       line.value(*(table + ap_uint<4>(x)));)
  SHOW("switch", switch (x) { case 0: x = 3; break; case 1: x = 2; break; default: x = x + 1; })
  SHOW("bits packed", line.value((x[0] << 2) | (x[k] << 1) | x[l]); line.value(x[k] + x[l] + 1);)
  SHOW("chain", x = x * 3 + (k - x) * l; x ^= x >> 1; x = (x << 3) - x;)
  Rotations<rotates>::template show<word, values>(name);
}
#undef SHOW

template <int W, bool S> void strings() {
  Line line("strings of " + shape<word_of<W, S>>::name());
  line.value(word_of<W, S>("0"));
  line.value(word_of<W, S>("123"));
  line.value(word_of<W, S>("-123", 10));
  line.value(word_of<W, S>("0x7f"));
  line.value(word_of<W, S>("-0x7F"));
  line.value(word_of<W, S>("0b1011"));
  line.value(word_of<W, S>("0o17"));
  line.value(word_of<W, S>("0d19"));
  line.value(word_of<W, S>("1011", 2));
  line.value(word_of<W, S>("0x1011", 2));
  line.value(word_of<W, S>("17", 8));
  line.value(word_of<W, S>("deadBEEF", 16));
  line.value(word_of<W, S>("0xFFFFFFFFFFFFFFF", 16));
  line.value(word_of<W, S>("-1"));
}
#endif
