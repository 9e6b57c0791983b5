// Copies BEATS beats from address 0 to address 64 in one burst, without the first byte of each, then raises irq.
// Started by a 1 written to register 16; irq only where a 1 was written to register 40 before.
module axi_copy #(
    parameter BYTES = 4,
    parameter BEATS = 6
) (
    input  logic                 CLK,
    input  logic                 RESETN,
    output logic                 irq,
    output logic [31:0]          maxi_awaddr,
    output logic [7:0]           maxi_awlen,
    output logic                 maxi_awvalid,
    input  logic                 maxi_awready,
    output logic [BYTES*8-1:0]   maxi_wdata,
    output logic [BYTES-1:0]     maxi_wstrb,
    output logic                 maxi_wlast,
    output logic                 maxi_wvalid,
    input  logic                 maxi_wready,
    input  logic [1:0]           maxi_bresp,
    input  logic                 maxi_bvalid,
    output logic                 maxi_bready,
    output logic [31:0]          maxi_araddr,
    output logic [7:0]           maxi_arlen,
    output logic                 maxi_arvalid,
    input  logic                 maxi_arready,
    input  logic [BYTES*8-1:0]   maxi_rdata,
    input  logic [1:0]           maxi_rresp,
    input  logic                 maxi_rlast,
    input  logic                 maxi_rvalid,
    output logic                 maxi_rready,
    input  logic [31:0]          saxi_awaddr,
    input  logic                 saxi_awvalid,
    output logic                 saxi_awready,
    input  logic [31:0]          saxi_wdata,
    input  logic [3:0]           saxi_wstrb,
    input  logic                 saxi_wvalid,
    output logic                 saxi_wready,
    output logic                 saxi_bvalid,
    input  logic                 saxi_bready,
    input  logic                 saxi_arvalid,
    output logic                 saxi_rvalid,
    input  logic                 saxi_rready
);
  typedef enum logic [2:0] {IDLE, ADDRESS, COPY, RESPONSE, DONE} state_t;
  state_t state;
  logic enabled;

  assign saxi_awready = saxi_awvalid && saxi_wvalid;
  assign saxi_wready = saxi_awready;
  assign saxi_bvalid = 1'b0;
  assign saxi_rvalid = 1'b0;

  assign maxi_araddr = 0;
  assign maxi_arlen = BEATS - 1;
  assign maxi_arvalid = state == ADDRESS;
  assign maxi_awaddr = 64;
  assign maxi_awlen = BEATS - 1;
  assign maxi_awvalid = state == ADDRESS;

  // Each beat goes out in the cycle in which it came.
  assign maxi_rready = state == COPY;
  assign maxi_wvalid = maxi_rvalid && state == COPY;
  assign maxi_wdata = maxi_rdata;
  assign maxi_wstrb = ~BYTES'(1);
  assign maxi_wlast = maxi_rlast;
  assign maxi_bready = 1'b1;

  assign irq = state == DONE && enabled;

  always_ff @(posedge CLK) begin
    if (!RESETN) begin
      state <= IDLE;
      enabled <= 1'b0;
    end else begin
      if (saxi_wready && saxi_awaddr == 40) enabled <= saxi_wdata[0];
      case (state)
        IDLE: if (saxi_wready && saxi_awaddr == 16 && saxi_wdata[0]) state <= ADDRESS;
        ADDRESS: if (maxi_arready && maxi_awready) state <= COPY;
        COPY: if (maxi_rvalid && maxi_rlast && maxi_wready) state <= RESPONSE;
        RESPONSE: if (maxi_bvalid) state <= DONE;
        default: ;
      endcase
    end
  end
endmodule
