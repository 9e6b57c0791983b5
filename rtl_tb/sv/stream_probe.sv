// Records the words that enter a stream inside the design, each with the cycle it came in.
//
// A record of the file is, from the lowest byte up: the cycle (8 bytes), the word, padded to whole 4 bytes
// (rtl_tb/records.py). A restart goes on in the same file.
module stream_probe #(
    parameter int Bytes = 1,
    parameter string File = "probe.bin"
) (
    input  logic               clk_i,
    input  logic               enable_i,
    input  logic               halted_i,  // rises when the file is to be read
    input  logic [       63:0] cycle_i,
    input  logic               push_i,
    input  logic [8*Bytes-1:0] data_i,
    output logic [       63:0] words_o
);
  typedef struct packed {
    logic [32*((Bytes+3)/4)-1:0] data;
    logic [63:0] cycle;
  } record_t;

  int file;
  record_t record;

  initial file = $fopen(File, "wb");
  always @(posedge halted_i) $fflush(file);

  assign record = '{data: $bits(record.data)'(data_i), cycle: cycle_i};

  always_ff @(posedge clk_i) begin
    if (!enable_i) begin
      words_o <= '0;
    end else if (push_i) begin
      words_o <= words_o + 1;
      $fwrite(file, "%u", record);
    end
  end
endmodule
