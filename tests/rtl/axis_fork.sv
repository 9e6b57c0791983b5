// Two copies of a stream, each behind an axis_fifo; the second has its bytes exchanged. `fault` is the second's.
module axis_fork (
    input  logic        ap_clk,
    input  logic        ap_rst_n,
    input  logic [ 4:0] fault,
    input  logic [15:0] x_TDATA,
    input  logic        x_TVALID,
    output logic        x_TREADY,
    input  logic        x_TLAST,
    input  logic [ 1:0] x_TKEEP,
    input  logic [ 1:0] x_TSTRB,
    output logic [15:0] y_TDATA,
    output logic        y_TVALID,
    input  logic        y_TREADY,
    output logic        y_TLAST,
    output logic [ 1:0] y_TKEEP,
    output logic [ 1:0] y_TSTRB,
    output logic [15:0] z_TDATA,
    output logic        z_TVALID,
    input  logic        z_TREADY,
    output logic        z_TLAST,
    output logic [ 1:0] z_TKEEP,
    output logic [ 1:0] z_TSTRB
);
  logic y_has_room, z_has_room;
  assign x_TREADY = y_has_room && z_has_room;

  axis_fifo #(
      .DEPTH(4)
  ) first (
      .ap_clk,
      .ap_rst_n,
      .fault(5'd0),
      .x_TDATA,
      .x_TVALID(x_TVALID && z_has_room),
      .x_TREADY(y_has_room),
      .x_TLAST,
      .x_TKEEP,
      .x_TSTRB,
      .y_TDATA,
      .y_TVALID,
      .y_TREADY,
      .y_TLAST,
      .y_TKEEP,
      .y_TSTRB
  );
  axis_fifo #(
      .DEPTH(8)
  ) second (
      .ap_clk,
      .ap_rst_n,
      .fault,
      .x_TDATA({x_TDATA[7:0], x_TDATA[15:8]}),
      .x_TVALID(x_TVALID && y_has_room),
      .x_TREADY(z_has_room),
      .x_TLAST,
      .x_TKEEP,
      .x_TSTRB,
      .y_TDATA(z_TDATA),
      .y_TVALID(z_TVALID),
      .y_TREADY(z_TREADY),
      .y_TLAST(z_TLAST),
      .y_TKEEP(z_TKEEP),
      .y_TSTRB(z_TSTRB)
  );
endmodule
