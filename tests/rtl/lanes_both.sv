// A top with two engines of lanes.sv, for the trace of one instance.
module lanes_both (
    input  logic               clk_i,
    input  logic               load_i,
    input  logic        [47:0] words_i,
    output logic signed [16:0] ring_sum_o,
    output logic signed [16:0] indexed_sum_o
);
  lanes_ring ring (.clk_i, .load_i, .words_i, .sum_o(ring_sum_o));
  lanes_indexed indexed (.clk_i, .load_i, .words_i, .sum_o(indexed_sum_o));
endmodule
