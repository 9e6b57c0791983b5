// The pseudo-random numbers of the bench: the same in every simulator, and on any number of threads.
package bench_random;
  // One step of Marsaglia's xorshift64 (13, 7, 17), for any state but 0.
  function automatic logic [63:0] next(input logic [63:0] state);
    next = state ^ (state << 13);
    next = next ^ (next >> 7);
    next = next ^ (next << 17);
  endfunction

  // True with a chance of `chance` / 2**32.
  function automatic logic hit(input logic [63:0] state, input logic [31:0] chance);
    hit = state[63:32] < chance;
  endfunction
endpackage
