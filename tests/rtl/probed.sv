// Two stages with a stream between and one behind them: `doubled` carries both bytes of a beat times two,
// `biased` the low 12 bits of that plus one. At word AT of `doubled`, `fault` flips a bit of the upper byte,
// or enters the word twice, or not at all.
module probed #(
    parameter int AT = 13
) (
    input  logic        ap_clk,
    input  logic        ap_rst_n,
    input  logic [ 1:0] fault,
    input  logic [15:0] x_TDATA,
    input  logic        x_TVALID,
    output logic        x_TREADY,
    output logic [15:0] y_TDATA,
    output logic        y_TVALID,
    input  logic        y_TREADY
);
  typedef enum logic [1:0] {
    SOUND,
    FLIP,
    TWICE,
    LOST
  } fault_t;

  logic [15:0] doubled, doubled_push_data;
  logic [11:0] biased, biased_push_data;
  logic doubled_there, biased_there, doubled_push, biased_push, again;
  logic [31:0] count;

  assign biased_push = doubled_there && (!biased_there || y_TREADY);
  assign again = fault == TWICE && count == AT + 1;
  assign x_TREADY = ap_rst_n && (!doubled_there || biased_push) && !again;
  assign doubled_push = ((x_TVALID && x_TREADY) || (again && biased_push)) && !(fault == LOST && count == AT);
  assign doubled_push_data = again ? doubled
                           : {x_TDATA[14:8], 1'b0, x_TDATA[6:0], 1'b0} ^ ((fault == FLIP && count == AT) ? 16'h2000 : 0);
  assign biased_push_data = doubled[11:0] + 1'b1;
  assign y_TVALID = biased_there;
  assign y_TDATA = {4'b0, biased};

  always_ff @(posedge ap_clk) begin
    if (!ap_rst_n) begin
      doubled_there <= 1'b0;
      biased_there <= 1'b0;
      count <= '0;
    end else begin
      doubled_there <= doubled_push || (doubled_there && !biased_push);
      biased_there <= biased_push || (biased_there && !y_TREADY);
      if (doubled_push) doubled <= doubled_push_data;
      if (biased_push) biased <= biased_push_data;
      if (doubled_push || (x_TVALID && x_TREADY)) count <= count + 1;
    end
  end
endmodule
