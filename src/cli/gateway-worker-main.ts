/** What the primary process of a gateway forks. */
import { endOnCrash, runGatewayWorker } from './gateway-worker.js'

endOnCrash()
runGatewayWorker()
