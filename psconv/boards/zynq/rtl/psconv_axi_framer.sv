// The words of packets to those of a design, which gets whole images whatever comes in.
//
// A packet is `batch` images of WORDS words. One that ends early is filled up with words of zeros; what goes on after
// the last word is dropped up to its end. With LOADS each image has a header in front, and a packet after `weights`
// is one of LOAD_WORDS words of weights that go in front of the next image: header 1, weights, image; else header 0.
module psconv_axi_framer #(
    parameter int unsigned BYTES = 1,  // of a word
    parameter int unsigned WORDS = 1,
    parameter bit LOADS = 1'b0,
    parameter int unsigned LOAD_WORDS = 1
) (
    input wire clk,
    input wire rst_n,

    input wire enable,  // else no packet is begun
    input wire [31:0] batch,  // taken when a packet is begun and `occupied` is 0; 0 changes nothing
    input wire occupied,  // there is an image in the design, or scores on their way
    input wire weights,  // a pulse: the next packet holds weights
    output wire [31:0] images,  // of the packets at work
    output wire weights_next,
    output wire open,  // a packet, or an image, has begun and not ended
    output wire begins,  // an image begins in this cycle
    output wire early,
    output wire missing,

    input wire [8*BYTES-1:0] in_data,
    input wire [BYTES-1:0] in_keep,
    input wire in_last,
    input wire in_valid,
    output wire in_ready,

    output wire [8*BYTES-1:0] out_data,
    output wire out_raw,  // a header, or weights
    output wire out_last,  // of an image
    output wire out_valid,
    input wire out_ready
);
  localparam int unsigned MOST = LOADS && LOAD_WORDS > WORDS ? LOAD_WORDS : WORDS;
  localparam int unsigned COUNT = $clog2(MOST + 1);

  typedef enum logic [1:0] {
    TAKE,  // words as they come
    FILL,  // zeros
    DROP  // words that are too much
  } state_t;
  state_t state;

  logic [31:0] batch_now, image;  // image: of the packet, from 0
  logic [COUNT-1:0] word;
  logic loading;  // the packet is one of weights
  logic asked;  // the next one is
  logic headed;  // the header of the image is out

  wire fresh = state == TAKE && word == 0 && image == 0 && !loading;  // between two packets
  wire same = batch_now == batch || batch == 0;
  wire may = !fresh || headed || (enable && same);
  wire header = LOADS && !headed && word == 0;
  // Weights that are asked for while those before still wait for their image are no weights.
  wire load = LOADS && (loading || (fresh && asked && !headed));

  wire take = state == TAKE && may && in_valid;
  wire word_valid = take || state == FILL;
  wire moves = word_valid && out_ready;
  wire moves_word = moves && !header;
  wire last_word = word == (load ? COUNT'(LOAD_WORDS - 1) : COUNT'(WORDS - 1));
  wire last_of_packet = last_word && (load || image == batch_now - 1);
  wire cut = take && in_last;

  assign out_data = header ? (8 * BYTES)'(load) : state == FILL ? '0 : in_data;
  assign out_raw = header || load;
  assign out_valid = word_valid;
  assign out_last = !header && !load && last_word;
  assign in_ready = (state == TAKE && may && out_ready && !header) || state == DROP;
  // A word of which bytes are missing is early, be it the last one or not.
  assign early = moves_word && cut && (!last_of_packet || !(&in_keep));
  assign missing = moves_word && take && !in_last && last_of_packet;
  assign begins = moves && (header || (!LOADS && word == 0));
  assign images = batch_now;
  assign weights_next = LOADS && asked;
  assign open = !fresh || headed;

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      state <= TAKE;
      batch_now <= 32'd1;
      image <= '0;
      word <= '0;
      loading <= 1'b0;
      asked <= 1'b0;
      headed <= 1'b0;
    end else begin
      if (weights) asked <= 1'b1;
      if (fresh && !same && !occupied) batch_now <= batch;
      if (moves && header) begin
        headed <= 1'b1;
        if (load) begin
          loading <= 1'b1;
          asked <= 1'b0;
        end
      end
      if (moves_word) begin
        word <= last_word ? '0 : word + 1'b1;
        if (last_word) begin
          if (load) loading <= 1'b0;
          else begin
            headed <= 1'b0;
            image <= last_of_packet ? '0 : image + 1'b1;
          end
        end
        if (last_of_packet) state <= take && !in_last ? DROP : TAKE;
        else if (cut) state <= FILL;
      end
      if (state == DROP && in_valid && in_last) state <= TAKE;
    end
  end
endmodule
