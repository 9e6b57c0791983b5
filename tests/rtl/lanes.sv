// Three ways from six activations to two multipliers, for the tests of the netlist trace.
//   lanes_ring     a rotating register; each multiplier is wired to one place of it, behind a pipeline register
//   lanes_indexed  a multiplexer between the activations and each multiplier
//   lanes_hidden   the same multiplexer, with a register between it and the multiplier
// Weights, and for the indexed engines the places, in ROMs that a counter addresses.
module lanes_rom #(
    parameter int Words = 6
) (
    input  logic        clk_i,
    output logic [15:0] weights_o,
    output logic [ 5:0] places_o
);
  logic [15:0] weights[64];
  logic [5:0] places[64];
  logic [5:0] address = '0;
  initial begin
    for (int i = 0; i < 64; i++) begin
      weights[i] = 16'(i * 4919 + 77);
      places[i] = {3'((i + 1) % Words), 3'(i % Words)};
    end
  end
  always_ff @(posedge clk_i) begin
    address <= address + 1'b1;
    weights_o <= weights[address];
    places_o <= places[address];
  end
endmodule

module lanes_ring #(
    parameter int Words = 6,
    parameter int Lanes = 2
) (
    input  logic                clk_i,
    input  logic                load_i,
    input  logic        [47:0]  words_i,
    output logic signed [16:0]  sum_o
);
  logic signed [7:0] ring[Words];
  logic signed [7:0] held[Lanes];
  logic signed [15:0] product[Lanes];
  logic [15:0] weights;
  logic [5:0] unused_places;

  lanes_rom rom (.clk_i, .weights_o(weights), .places_o(unused_places));

  always_ff @(posedge clk_i) begin
    for (int i = 0; i < Words; i++) ring[i] <= load_i ? words_i[8*i+:8] : ring[(i+1)%Words];
    held[0] <= ring[1];
    held[1] <= ring[4];
    for (int l = 0; l < Lanes; l++) product[l] <= held[l] * $signed(weights[8*l+:8]);
    sum_o <= product[0] + product[1];
  end
endmodule

module lanes_indexed #(
    parameter int Words = 6,
    parameter int Lanes = 2
) (
    input  logic                clk_i,
    input  logic                load_i,
    input  logic        [47:0]  words_i,
    output logic signed [16:0]  sum_o
);
  logic [47:0] words;
  logic signed [15:0] product[Lanes];
  logic [15:0] weights;
  logic [5:0] places;

  lanes_rom rom (.clk_i, .weights_o(weights), .places_o(places));

  always_ff @(posedge clk_i) begin
    if (load_i) words <= words_i;
    for (int l = 0; l < Lanes; l++)
      product[l] <= $signed(words[8*places[3*l+:3]+:8]) * $signed(weights[8*l+:8]);
    sum_o <= product[0] + product[1];
  end
endmodule

module lanes_hidden #(
    parameter int Words = 6,
    parameter int Lanes = 2
) (
    input  logic                clk_i,
    input  logic                load_i,
    input  logic        [47:0]  words_i,
    output logic signed [16:0]  sum_o
);
  logic signed [7:0] words[Words];
  logic signed [7:0] chosen[Lanes];
  logic signed [15:0] product[Lanes];
  logic [15:0] weights;
  logic [5:0] places;

  lanes_rom rom (.clk_i, .weights_o(weights), .places_o(places));

  always_ff @(posedge clk_i) begin
    for (int l = 0; l < Lanes; l++) begin
      case (places[3*l+:3])
        0: chosen[l] <= words[0];
        1: chosen[l] <= words[1];
        2: chosen[l] <= words[2];
        3: chosen[l] <= words[3];
        4: chosen[l] <= words[4];
        default: chosen[l] <= words[5];
      endcase
      product[l] <= chosen[l] * $signed(weights[8*l+:8]);
    end
    if (load_i) for (int i = 0; i < Words; i++) words[i] <= words_i[8*i+:8];
    sum_o <= product[0] + product[1];
  end
endmodule
