// The ring in memories, for the tests of the netlist trace: each multiplier reads a memory of its own.
//   Indexed 0: at the address of a counter; 1: at one that a ROM beside the weights says
module lanes_memory #(
    parameter bit Indexed = 0
) (
    input  logic                clk_i,
    input  logic                put_i,
    input  logic        [ 7:0]  word_i,
    output logic signed [16:0]  sum_o
);
  logic signed [7:0] even[16];
  logic signed [7:0] odd[16];
  logic signed [7:0] held[2];
  logic signed [15:0] product[2];
  logic [15:0] weights;
  logic [5:0] places;
  logic [3:0] turn = '0;

  lanes_rom rom (.clk_i, .weights_o(weights), .places_o(places));

  wire [3:0] place = Indexed ? places[3:0] : turn;

  always_ff @(posedge clk_i) begin
    turn <= turn + 1'b1;
    if (put_i) even[~turn] <= word_i;
    if (put_i) odd[turn] <= word_i;
    held[0] <= even[place];
    held[1] <= odd[place];
    for (int l = 0; l < 2; l++) product[l] <= held[l] * $signed(weights[8*l+:8]);
    sum_o <= product[0] + product[1];
  end
endmodule

module lanes_memory_indexed (
    input  logic                clk_i,
    input  logic                put_i,
    input  logic        [ 7:0]  word_i,
    output logic signed [16:0]  sum_o
);
  lanes_memory #(.Indexed(1)) lanes (.clk_i, .put_i, .word_i, .sum_o);
endmodule
