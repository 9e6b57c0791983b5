// Multipliers and block RAMs with registers around them, for tests/test_ecp5_registers.py: which can the blocks take?
// Each register has a bit of `data` of its own, else yosys makes one of several.
module blocks (
  input  wire               clk, rst,
  input  wire        [3:0]  en,
  input  wire        [134:0] data,
  input  wire        [8:0]  address,
  output wire signed [17:0] plain, enabled, first, second, out_of, reset, lone, late, halves,
  output logic signed [8:0] seen,
  output wire        [35:0] word, held_word, two_words
);
  wire signed [8:0] d [0:14];
  for (genvar k = 0; k < 15; k++) assign d[k] = data[9*k +: 9];

  // Registers on all sides, without and with enables.
  product #(.ENABLED(0)) u_plain (.clk, .en(4'b0), .a(d[0]), .b(d[1]), .p(plain));
  product #(.ENABLED(1)) u_enabled (.clk, .en, .a(d[2]), .b(d[3]), .p(enabled));

  // One register feeds two multipliers.
  logic signed [8:0] shared, left, right;
  logic signed [17:0] first_q, second_q;
  always_ff @(posedge clk) begin
    shared <= d[4];
    left <= d[5];
    right <= d[6];
    first_q <= shared * left;
    second_q <= shared * right;
  end
  assign first = first_q;
  assign second = second_q;

  // A register of an operand is used elsewhere too.
  logic signed [8:0] other;
  logic signed [17:0] out_q;
  always_ff @(posedge clk) begin
    seen <= d[7];
    other <= d[8];
    out_q <= seen * other;
  end
  assign out_of = out_q;

  // Registers with a reset.
  logic signed [8:0] ra, rb;
  logic signed [17:0] rp;
  always_ff @(posedge clk) begin
    if (rst) begin
      ra <= 0;
      rb <= 0;
      rp <= 0;
    end else begin
      ra <= d[9];
      rb <= d[10];
      rp <= ra * rb;
    end
  end
  assign reset = rp;

  // One operand without a register.
  logic signed [8:0] la;
  logic signed [17:0] lp;
  always_ff @(posedge clk) begin
    la <= d[11];
    lp <= la * d[12];
  end
  assign lone = lp;

  // A product that starts at another value than zero.
  logic signed [8:0] ia, ib;
  logic signed [17:0] ip = 18'sd5;
  always_ff @(posedge clk) begin
    ia <= d[12] + 9'sd3;
    ib <= d[13];
    ip <= ia * ib;
  end
  assign late = ip;

  // The halves of an operand have different enables.
  logic signed [8:0] ha, hb;
  logic signed [17:0] hp;
  always_ff @(posedge clk) begin
    if (en[0]) ha[3:0] <= d[14][3:0];
    if (en[1]) ha[8:4] <= d[14][8:4];
    hb <= d[11] + 9'sd3;
    hp <= ha * hb;
  end
  assign halves = hp;

  rom #(.SEED(1)) u_word (.clk, .en(1'b1), .address, .word(word));
  rom #(.SEED(2)) u_held (.clk, .en(en[3]), .address, .word(held_word));

  // The word is used before the second register too.
  wire [35:0] once;
  table_of #(.SEED(3)) u_two (.clk, .address, .word(once));
  logic [35:0] twice;
  always_ff @(posedge clk) twice <= once;
  assign two_words = twice ^ {once[0], once[35:1]};
endmodule

module product #(parameter bit ENABLED = 0) (
  input  wire               clk,
  input  wire        [3:0]  en,
  input  wire signed [8:0]  a, b,
  output logic signed [17:0] p
);
  logic signed [8:0] a_q, b_q;
  always_ff @(posedge clk) begin
    if (!ENABLED || en[0]) a_q <= a;
    if (!ENABLED || en[1]) b_q <= b;
    if (!ENABLED || en[2]) p <= a_q * b_q;
  end
endmodule

module rom #(parameter int SEED = 0) (
  input  wire         clk, en,
  input  wire  [8:0]  address,
  output logic [35:0] word
);
  wire [35:0] once;
  table_of #(.SEED(SEED)) u (.clk, .address, .word(once));
  always_ff @(posedge clk) if (en) word <= once;
endmodule

module table_of #(parameter int SEED = 0) (
  input  wire         clk,
  input  wire  [8:0]  address,
  output logic [35:0] word
);
  (* rom_style = "block" *) logic [35:0] mem [0:511];
  initial for (int k = 0; k < 512; k++) mem[k] = 36'h9_e377_9b97 * (k + SEED);
  always_ff @(posedge clk) word <= mem[address];
endmodule
