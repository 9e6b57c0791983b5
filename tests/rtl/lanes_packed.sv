// Two products in one multiplier, for the tests of the netlist trace: two weights packed by an adder and a register,
// the activation wired to one place of a rotating register.
//   lanes_packed         the weights come from a ROM alone
//   lanes_packed_chosen  a multiplexer stands in front of the adder
module lanes_packed #(
    parameter int Words  = 6,
    parameter bit Chosen = 0
) (
    input  logic                clk_i,
    input  logic                load_i,
    input  logic        [47:0]  words_i,
    output logic signed [32:0]  product_o
);
  logic signed [7:0] ring[Words];
  logic signed [24:0] packed_weights;
  logic signed [7:0] low, high;
  logic [15:0] weights;
  logic [5:0] unused_places;

  lanes_rom rom (.clk_i, .weights_o(weights), .places_o(unused_places));
  assign low  = Chosen && load_i ? weights[15:8] : weights[7:0];
  assign high = weights[15:8];

  always_ff @(posedge clk_i) begin
    for (int i = 0; i < Words; i++) ring[i] <= load_i ? words_i[8*i+:8] : ring[(i+1)%Words];
    packed_weights <= $signed({high, 16'd0}) + low;
    product_o <= packed_weights * ring[1];
  end
endmodule

module lanes_packed_chosen (
    input  logic                clk_i,
    input  logic                load_i,
    input  logic        [47:0]  words_i,
    output logic signed [32:0]  product_o
);
  lanes_packed #(.Chosen(1)) lanes (.*);
endmodule
