// Between the DMA's streams and a design's: everything but the registers.
//
// In: bytes, one for each activation in the order of the design's words (docs/guide/zynq.md), of which the lowest
// X_BITS bits count. Out: scores, sign-extended to SCORE_BYTES bytes, likewise in the order of the design's words.
// s_axis and m_axis keep to AXI4-Stream; no ready of theirs depends on the other side's in the same cycle.
module psconv_axi_shell #(
    parameter int unsigned IN_BYTES = 1,  // of s_axis_tdata
    parameter int unsigned OUT_BYTES = 1,  // of m_axis_tdata
    parameter int unsigned X_FIELDS = 1,  // activations of a word, X_BYTES bytes in the design, X_WORDS an image
    parameter int unsigned X_BITS = 8,
    parameter int unsigned X_BYTES = 1,
    parameter int unsigned X_WORDS = 1,
    parameter int unsigned Y_FIELDS = 1,
    parameter int unsigned Y_BITS = 8,
    parameter int unsigned Y_BYTES = 1,
    parameter int unsigned Y_WORDS = 1,
    parameter int unsigned SCORE_BYTES = 1,
    parameter bit LOADS = 1'b0,
    parameter int unsigned LOAD_WORDS = 1
) (
    input wire clk,
    input wire rst_n,

    input wire enable,
    input wire reset,
    input wire weights,
    input wire [31:0] batch,
    output wire core_rst_n,
    output wire idle,
    output wire weights_next,
    output wire early,
    output wire missing,
    output logic malformed,
    output wire bad_response,
    output wire packet,
    output wire [31:0] images,
    output wire [31:0] packets,
    output wire [63:0] cycles,
    output wire [63:0] image_cycles,
    output logic [7:0] response,
    output logic [15:0] responses,

    input wire [8*IN_BYTES-1:0] s_axis_tdata,
    input wire [IN_BYTES-1:0] s_axis_tkeep,
    input wire s_axis_tlast,
    input wire s_axis_tvalid,
    output wire s_axis_tready,

    output wire [8*OUT_BYTES-1:0] m_axis_tdata,
    output wire [OUT_BYTES-1:0] m_axis_tkeep,
    output wire m_axis_tlast,
    output wire m_axis_tvalid,
    input wire m_axis_tready,

    output wire [8*X_BYTES-1:0] x_tdata,
    output wire x_tlast,
    output wire x_tvalid,
    input wire x_tready,

    input wire [8*Y_BYTES-1:0] y_tdata,
    input wire y_tvalid,
    output wire y_tready
);
  function automatic int unsigned gcd(input int unsigned a, input int unsigned b);
    int unsigned left, right, rest;
    left  = a;
    right = b;
    while (right != 0) begin
      rest  = left % right;
      left  = right;
      right = rest;
    end
    return left;
  endfunction

  localparam int unsigned SCORES = Y_FIELDS * SCORE_BYTES;  // bytes of a word that leaves
  localparam int unsigned X_UNIT = gcd(IN_BYTES, X_FIELDS);
  localparam int unsigned Y_UNIT = gcd(SCORES, OUT_BYTES);
  localparam int unsigned IN_UNITS = IN_BYTES / X_UNIT;
  localparam int unsigned WORD_UNITS = X_FIELDS / X_UNIT;
  localparam int unsigned SCORE_UNITS = SCORES / Y_UNIT;
  localparam int unsigned OUT_UNITS = OUT_BYTES / Y_UNIT;

  wire occupied;
  logic scores_left;  // of a packet, that wait for its others to fill a beat
  wire [31:0] batch_now;
  wire open, begins, ends;
  wire [7:0] status;

  // Bytes to words.
  wire [8*X_FIELDS-1:0] word_data;
  wire [WORD_UNITS-1:0] word_units;
  wire [X_FIELDS-1:0] word_keep;
  wire word_last, word_valid, word_ready;

  wire [IN_UNITS-1:0] in_units;
  for (genvar k = 0; k < IN_UNITS; k++) begin : g_in
    assign in_units[k] = |s_axis_tkeep[X_UNIT*k+:X_UNIT];
  end
  for (genvar k = 0; k < WORD_UNITS; k++) begin : g_word
    assign word_keep[X_UNIT*k+:X_UNIT] = {X_UNIT{word_units[k]}};
  end

  wire in_ready;
  assign s_axis_tready = in_ready && core_rst_n;
  wire taken = s_axis_tvalid && s_axis_tready;
  // Bytes that count are the first ones, and whole units.
  logic holes;
  always_comb begin
    holes = s_axis_tlast && s_axis_tkeep == '0;
    for (int unsigned k = 1; k < IN_BYTES; k++)
      if (s_axis_tkeep[k] != s_axis_tkeep[k-1] && (s_axis_tkeep[k] || k % X_UNIT != 0)) holes = 1'b1;
  end

  psconv_axi_gearbox #(
      .UNIT(X_UNIT),
      .IN  (IN_UNITS),
      .OUT (WORD_UNITS)
  ) unpack (
      .clk,
      .rst_n(core_rst_n),
      .in_data(s_axis_tdata),
      .in_keep(in_units),
      .in_last(s_axis_tlast),
      .in_valid(taken),
      .in_ready,
      .out_data(word_data),
      .out_keep(word_units),
      .out_last(word_last),
      .out_valid(word_valid),
      .out_ready(word_ready)
  );

  wire [8*X_FIELDS-1:0] frame_data;
  wire frame_raw;
  psconv_axi_framer #(
      .BYTES(X_FIELDS),
      .WORDS(X_WORDS),
      .LOADS(LOADS),
      .LOAD_WORDS(LOAD_WORDS)
  ) framer (
      .clk,
      .rst_n(core_rst_n),
      .enable,
      .batch,
      .occupied(occupied || m_axis_tvalid || scores_left),
      .weights,
      .images(batch_now),
      .weights_next,
      .open,
      .begins,
      .early,
      .missing,
      .in_data(word_data),
      .in_keep(word_keep),
      .in_last(word_last),
      .in_valid(word_valid),
      .in_ready(word_ready),
      .out_data(frame_data),
      .out_raw(frame_raw),
      .out_last(x_tlast),
      .out_valid(x_tvalid),
      .out_ready(x_tready)
  );

  // A byte for each activation to the bits that the design takes of it.
  logic [8*X_BYTES-1:0] packed_data;
  always_comb begin
    packed_data = '0;
    for (int unsigned k = 0; k < X_FIELDS; k++) packed_data[X_BITS*k+:X_BITS] = frame_data[8*k+:X_BITS];
  end
  assign x_tdata = frame_raw ? frame_data[8*X_BYTES-1:0] : packed_data;

  // Scores to bytes.
  wire [8*SCORES-1:0] score_data;
  wire score_last, score_valid, score_ready;
  psconv_axi_collector #(
      .IN_BITS(8 * Y_BYTES),
      .FIELDS (Y_FIELDS),
      .BITS   (Y_BITS),
      .BYTES  (SCORE_BYTES),
      .WORDS  (Y_WORDS),
      .LOADS  (LOADS)
  ) collector (
      .clk,
      .rst_n(core_rst_n),
      .images(batch_now),
      .ends,
      .response(status),
      .in_data(y_tdata),
      .in_valid(y_tvalid),
      .in_ready(y_tready),
      .out_data(score_data),
      .out_last(score_last),
      .out_valid(score_valid),
      .out_ready(score_ready)
  );

  wire [OUT_UNITS-1:0] out_units;
  for (genvar k = 0; k < OUT_UNITS; k++) begin : g_out
    assign m_axis_tkeep[Y_UNIT*k+:Y_UNIT] = {Y_UNIT{out_units[k]}};
  end
  psconv_axi_gearbox #(
      .UNIT(Y_UNIT),
      .IN  (SCORE_UNITS),
      .OUT (OUT_UNITS)
  ) pack (
      .clk,
      .rst_n(core_rst_n),
      .in_data(score_data),
      .in_keep({SCORE_UNITS{1'b1}}),
      .in_last(score_last),
      .in_valid(score_valid),
      .in_ready(score_ready),
      .out_data(m_axis_tdata),
      .out_keep(out_units),
      .out_last(m_axis_tlast),
      .out_valid(m_axis_tvalid),
      .out_ready(m_axis_tready)
  );

  psconv_axi_monitor monitor (
      .clk,
      .rst_n,
      .reset,
      .core_rst_n,
      .begins,
      .ends,
      .packet,
      .occupied,
      .images,
      .packets,
      .cycles,
      .image_cycles
  );

  always_ff @(posedge clk) begin
    if (!core_rst_n) scores_left <= 1'b0;
    else if (score_valid && score_ready) scores_left <= !score_last;
  end

  assign packet = m_axis_tvalid && m_axis_tready && m_axis_tlast;
  assign idle = core_rst_n && !occupied && !open && !word_valid && !m_axis_tvalid && !scores_left;
  assign bad_response = LOADS && ends && !status[0];

  always_ff @(posedge clk) begin
    malformed <= core_rst_n && taken && holes;
    if (!core_rst_n) begin
      response <= '0;
      responses <= '0;
    end else if (LOADS && ends) begin
      response <= status;
      responses <= responses + 1'b1;
    end
  end
endmodule
