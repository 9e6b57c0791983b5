// The scores of a design, sign-extended, with the end of each packet of `images` images.
//
// With LOADS an image ends with a beat that is no score but the status of the response. The last score of an image
// leaves when the status is there: who has the scores can read the status.
module psconv_axi_collector #(
    parameter int unsigned IN_BITS = 8,  // of a beat, in which FIELDS scores of BITS bits come
    parameter int unsigned FIELDS = 1,
    parameter int unsigned BITS = 8,
    parameter int unsigned BYTES = 1,  // of a score that leaves
    parameter int unsigned WORDS = 1,  // of an image, the status aside
    parameter bit LOADS = 1'b0
) (
    input wire clk,
    input wire rst_n,

    input wire [31:0] images,
    output wire ends,  // an image ends in this cycle
    output wire [7:0] response,  // the status, in the cycle in which an image ends

    input wire [IN_BITS-1:0] in_data,
    input wire in_valid,
    output wire in_ready,

    output wire [8*BYTES*FIELDS-1:0] out_data,
    output wire out_last,
    output wire out_valid,
    input wire out_ready
);
  localparam int unsigned COUNT = $clog2(WORDS + 2);

  logic [31:0] image;
  logic [COUNT-1:0] word;
  wire last_image = image == images - 1;
  wire moves = in_valid && in_ready;

  logic [FIELDS*BITS-1:0] scores;
  for (genvar k = 0; k < FIELDS; k++) begin : g_score
    assign out_data[8*BYTES*k+:8*BYTES] = (8 * BYTES)'($signed(scores[BITS*k+:BITS]));
  end

  if (LOADS) begin : g_status
    logic held;
    logic [FIELDS*BITS-1:0] score;
    wire status = word == COUNT'(WORDS);
    assign scores = score;
    assign in_ready = !held || out_ready;
    assign out_valid = held && in_valid;
    assign out_last = status && last_image;
    assign ends = moves && status;
    assign response = in_data[7:0];
    always_ff @(posedge clk) begin
      if (!rst_n) held <= 1'b0;
      else if (moves) held <= !status;
      if (moves) score <= in_data[FIELDS*BITS-1:0];
    end
  end else begin : g_scores
    assign scores = in_data[FIELDS*BITS-1:0];
    assign in_ready = out_ready;
    assign out_valid = in_valid;
    assign out_last = word == COUNT'(WORDS - 1) && last_image;
    assign ends = moves && word == COUNT'(WORDS - 1);
    assign response = 8'd0;
  end

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      image <= '0;
      word <= '0;
    end else if (moves) begin
      word <= ends ? '0 : word + 1'b1;
      if (ends) image <= last_image ? '0 : image + 1'b1;
    end
  end
endmodule
