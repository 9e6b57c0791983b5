// Beats of IN units to beats of OUT units, a unit being UNIT bytes: in at most one beat a cycle, out at most one.
//
// The units of a beat that count come first (in_keep, from bit 0 without holes; units above them are not looked at).
// After a beat with in_last the output goes on with a new beat: the one with out_last has out_keep for the units there
// are. A last beat without any unit becomes a unit that does not count. With IN == OUT, and at any ratio while the
// slower side does not wait, no cycle is lost, not at the end of a packet either.
module psconv_axi_gearbox #(
    parameter int unsigned UNIT = 1,
    parameter int unsigned IN = 1,
    parameter int unsigned OUT = 1
) (
    input wire clk,
    input wire rst_n,

    input wire [8*UNIT*IN-1:0] in_data,
    input wire [IN-1:0] in_keep,
    input wire in_last,
    input wire in_valid,
    output wire in_ready,

    output wire [8*UNIT*OUT-1:0] out_data,
    output wire [OUT-1:0] out_keep,
    output wire out_last,
    output wire out_valid,
    input wire out_ready
);
  localparam int unsigned BITS = 8 * UNIT;
  // A beat with what fills up the last one after it has room beside what one of the two sides needs to go on.
  localparam int unsigned MORE = IN + OUT - 1;
  localparam int unsigned SIZE = 2 * MORE;
  localparam int unsigned COUNT = $clog2(SIZE + 1);
  localparam logic [COUNT-1:0] BEAT = COUNT'(OUT);

  // Units above `fill` are zero, and neither kept nor last.
  logic [SIZE*BITS-1:0] data;
  logic [SIZE-1:0] keep, last;
  logic [COUNT-1:0] fill;

  assign out_data = data[OUT*BITS-1:0];
  assign out_keep = keep[OUT-1:0];
  assign out_last = |last[OUT-1:0];
  assign out_valid = fill >= BEAT;
  assign in_ready = fill <= COUNT'(SIZE - MORE);

  wire pop = out_valid && out_ready;
  wire push = in_valid && in_ready;

  logic [IN*BITS-1:0] counted;  // the input without the units that do not count
  logic [COUNT-1:0] units;
  always_comb begin
    counted = '0;
    units = '0;
    for (int unsigned k = 0; k < IN; k++)
      if (in_keep[k]) begin
        counted[k*BITS+:BITS] = in_data[k*BITS+:BITS];
        units = COUNT'(k + 1);
      end
    if (in_last && units == 0) units = COUNT'(1);
  end

  wire [COUNT-1:0] rest = pop ? fill - BEAT : fill;
  wire [COUNT-1:0] sum = rest + units;
  logic [COUNT-1:0] whole;  // `sum` up to the end of its beat
  always_comb begin
    whole = '0;
    for (int unsigned k = 0; k * OUT < SIZE; k++) if (sum > COUNT'(k * OUT)) whole = COUNT'((k + 1) * OUT);
  end

  wire [SIZE*BITS-1:0] left_data = pop ? data >> (OUT * BITS) : data;
  wire [SIZE-1:0] left_keep = pop ? keep >> OUT : keep;
  wire [SIZE-1:0] left_last = pop ? last >> OUT : last;

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      data <= '0;
      keep <= '0;
      last <= '0;
      fill <= '0;
    end else begin
      data <= left_data;
      keep <= left_keep;
      last <= left_last;
      fill <= rest;
      if (push) begin
        data <= left_data | (SIZE * BITS)'(counted) << (32'(rest) * BITS);
        keep <= left_keep | SIZE'(in_keep) << rest;
        if (in_last) last <= left_last | SIZE'(1) << (sum - 1'b1);
        fill <= in_last ? whole : sum;
      end
    end
  end
endmodule
