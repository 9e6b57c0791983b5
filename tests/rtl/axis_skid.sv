// AXI4-Stream skid buffer: registers on every path, TREADY too, at full throughput. The names, the reset's
// polarity and the lack of TLAST are unlike those of the HLS tools, and `gain_i` is an input to be tied.
module axis_skid #(
    parameter int BYTES = 5
) (
    input  logic               clk_i,
    input  logic               rst_i,     // asynchronous, active high
    input  logic [        7:0] gain_i,    // added to the lowest byte
    input  logic [8*BYTES-1:0] s_data_i,
    input  logic               s_valid_i,
    output logic               s_ready_o,
    output logic [8*BYTES-1:0] m_data_o,
    output logic               m_valid_o,
    input  logic               m_ready_i
);
  logic [8*BYTES-1:0] spare;

  always_ff @(posedge clk_i or posedge rst_i) begin
    if (rst_i) begin
      s_ready_o <= 1'b1;
      m_valid_o <= 1'b0;
    end else if (!m_valid_o || m_ready_i) begin
      m_valid_o <= s_valid_i || !s_ready_o;
      s_ready_o <= 1'b1;
      m_data_o  <= s_ready_o ? {s_data_i[8*BYTES-1:8], s_data_i[7:0] + gain_i} : spare;
    end else if (s_valid_i && s_ready_o) begin
      s_ready_o <= 1'b0;
      spare     <= {s_data_i[8*BYTES-1:8], s_data_i[7:0] + gain_i};
    end
  end
endmodule
