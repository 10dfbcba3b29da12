/* Preload shim for fair comparisons with PyTorch on AMD processors.
 *
 * MKL asks this function whether it runs on an Intel processor. On AMD the answer is no, and MKL then keeps to its
 * generic AVX2 code even where AVX-512 is available, and to slower kernels for some narrow shapes. Answering yes lets it
 * choose by the CPU's real features, so that a comparison is made with PyTorch at its best and not only as installed.
 * On a processor without AVX-512, large matrix products gain little and narrow ones still gain.
 *
 *     cc -O2 -shared -fPIC -o mkl_fix.so mkl_fix.c
 *     LD_PRELOAD=$PWD/mkl_fix.so python torch_mnist.py
 */
int mkl_serv_intel_cpu_true(void) { return 1; }
